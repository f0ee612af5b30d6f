"""One training step of each contestant, over the same random tokens: a closure that computes, and returns the loss."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import synthetic
import torch
from peft import LoraConfig, get_peft_model

from core.training.methods import LoraMethod
from worker.training import attention
from worker.training.batches import MicroBatch
from worker.training.methods import adapters
from worker.training.methods.model import Machine
from worker.training.objectives.objective import Totals
from worker.training.objectives.sft import Sft

RANK, ALPHA = 16, 32
NAMES = ("ours", "hf", "hf_packed")
"""Ours; transformers + PEFT on a padded batch (here of equal rows, so without padding); the same on one packed row."""


@dataclass(frozen=True, slots=True)
class Cell:
    model: str
    method: str
    """lora or qlora."""
    tokens: int
    is_checkpointed: bool
    contestant: str
    longest: int = 2048

    @property
    def lengths(self) -> tuple[int, ...]:
        return synthetic.sequence_lengths(self.tokens, min(self.longest, self.tokens))


@dataclass(frozen=True, slots=True)
class Step:
    """`compute` does forward and backward and returns the loss; `update` is the optimizer's part."""

    compute: Callable[[], torch.Tensor]
    update: Callable[[], None]
    trainable: dict[str, torch.nn.Parameter]


def prepare(cell: Cell, *, device: str, dtype: torch.dtype) -> Step:
    vocabulary = synthetic.SHAPES[cell.model]["vocab_size"]
    ids_T = synthetic.random_ids(cell.tokens, vocabulary, device)
    make = _ours if cell.contestant == "ours" else _hf
    return make(cell, ids_T, device, dtype)


def _ours(cell: Cell, ids_T: torch.Tensor, device: str, dtype: torch.dtype) -> Step:
    """The product's own model, batch and objective; every token but a sequence's first is a target."""
    is_nf4 = cell.method == "qlora"
    base = synthetic.build(cell.model, device=device, dtype=dtype, attention=attention.register(), is_nf4=is_nf4)
    machine = Machine(device, dtype, gradient_checkpointing=cell.is_checkpointed)
    model = adapters.attach(base, LoraMethod(rank=RANK, alpha=ALPHA), machine=machine)
    ends = torch.tensor(cell.lengths).cumsum(0) - 1
    weights_T = torch.ones(cell.tokens)
    weights_T[ends] = 0
    batch = MicroBatch(
        token_ids_T=ids_T,
        targets_T=ids_T.roll(-1),
        weights_T=weights_T.to(device),
        sequence_lengths=cell.lengths,
    )
    num_targets = int(weights_T.sum())
    totals = Totals(
        weight=float(num_targets),
        preferred_weight=float(num_targets),
        num_targets=num_targets,
        num_examples=len(cell.lengths),
    )

    def compute() -> torch.Tensor:
        loss = Sft().micro_loss(model, batch, totals).loss
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    return _step(compute, model.trainable())


def _hf(cell: Cell, ids_T: torch.Tensor, device: str, dtype: torch.dtype) -> Step:
    """As a plain script has it: `model(input_ids, labels=...)`, its own loss over all logits."""
    is_nf4 = cell.method == "qlora"
    base = synthetic.build(cell.model, device=device, dtype=dtype, attention="sdpa", is_nf4=is_nf4)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        model: Any = get_peft_model(
            base, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
        )
        if cell.is_checkpointed:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            model.enable_input_require_grads()
    inputs = _hf_inputs(cell, ids_T)

    def compute() -> torch.Tensor:
        loss = model(**inputs, use_cache=False).loss
        loss.backward()
        return loss.detach()

    trainable = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    return _step(compute, trainable)


def _hf_inputs(cell: Cell, ids_T: torch.Tensor) -> dict[str, torch.Tensor]:
    if cell.contestant == "hf":
        rows = ids_T[: len(cell.lengths) * cell.lengths[0]].view(len(cell.lengths), -1)
        return {"input_ids": rows, "labels": rows}
    labels = ids_T.clone()
    begins = torch.tensor([0, *cell.lengths[:-1]]).cumsum(0)
    labels[begins] = -100  # predicted by another sequence's last token
    positions = torch.cat([torch.arange(length) for length in cell.lengths]).to(ids_T.device)
    return {"input_ids": ids_T[None], "labels": labels[None], "position_ids": positions[None]}


def _step(compute: Callable[[], torch.Tensor], trainable: dict[str, torch.nn.Parameter]) -> Step:
    optimizer = torch.optim.AdamW(trainable.values(), lr=1e-4)

    def update() -> None:
        torch.nn.utils.clip_grad_norm_(trainable.values(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return Step(compute, update, trainable)
