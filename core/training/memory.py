"""What a run needs at its peak, byte by byte, before it starts.

    M = W + T + O + A + K + S + X          bytes of one process, so of one GPU

    W  frozen weights: 2 bytes each (4 on a processor, which computes in float32), or 4.127 bits in NF4 with double
       quantisation (QLoRA, Dettmers et al. 2023, section 3); embeddings and the head are never quantised
    T  what learns: a float32 weight and its gradient
    O  Adam's two moments: 8 bytes a weight, or a little over 2 with 8 bits (Dettmers et al. 2022)
    A  activations kept for the backward pass: tokens of a micro-batch times
         layers * P                            without gradient checkpointing
         layers * hidden * e + P               with it: each layer's input, and one layer computed again
       P = e * (7 hidden + 4 heads * head_size + 5 intermediate), e bytes a number: inputs of both norms (float32) and
       of the linear layers; queries, keys, values and the attention's answer; gate, its activation, up, their product
    K  logits of one chunk of the loss; all logits never exist at a time (worker.training.kernels.token_log_probs)
    S  scratch: a layer unpacked from 4 bits, or gathered from the other processes; DoRA's norms
    X  runtime: CUDA context and fragmentation; on a processor the interpreter with its libraries

The reference pass of DPO keeps nothing and needs no second base: it is the same weights without the adapter. Checked
against published tables and against runs of ours in tests/core/training/test_memory.py and by bench/memory.py.
"""

from typing import Final

from pydantic import BaseModel as Model
from pydantic import ConfigDict

from core.base_models import architecture
from core.base_models.architecture import Linear
from core.base_models.types import BaseModel
from core.training.methods import (
    DoraMethod,
    FullMethod,
    LowRankMethod,
    Method,
    PromptTuningMethod,
    quantization_of,
)
from core.training.spec import ExecutionPlan, TrainingSpec

MARGIN: Final = 1.08
"""A run fits if so much more than predicted is there: a prediction may be wrong by that and nothing runs out."""

_NF4_BYTES, _NF4_SCALE_BYTES = 4.127 / 8, 0.127 / 8
_FLOAT_BYTES = 4
_ADAM_BYTES, _ADAM_8BIT_BYTES = 8.0, 2.04
# chunks of the loss are of a constant number of logits, in float32; on a card beside them their softmax and, in
# bfloat16, the product and the gradient
_CHUNK_LOGITS = {"cpu": 2**24, "cuda": 2**27}
_LOGIT_BYTES = {"cpu": 4, "cuda": 12}
# card: 0.5 GB of context, the libraries' workspaces, and blocks too small for what is asked (0.8-2.5 GB were seen)
_RUNTIME_BYTES = {"cpu": 450_000_000, "cuda": 1_500_000_000}
# the allocator of a processor keeps what it freed and finds no use for all of it (bench/results/memory.json)
_SLACK = {"cpu": 1.42, "cuda": 1.0}


class Memory(Model):
    """Bytes of one process at the peak of a run, by what they are for."""

    model_config = ConfigDict(frozen=True)

    weights_bytes: int
    trained_bytes: int
    optimizer_bytes: int
    activation_bytes: int
    loss_bytes: int
    scratch_bytes: int
    runtime_bytes: int

    @property
    def peak_bytes(self) -> int:
        return sum(self.model_dump().values())

    def fits(self, memory_bytes: int) -> bool:
        return self.peak_bytes * MARGIN <= memory_bytes


def predict(
    spec: TrainingSpec, base: BaseModel, execution: ExecutionPlan, *, is_gpu: bool, tokens: int, mean_tokens: float
) -> Memory:
    """`tokens` of the largest micro-batch (it holds the longest example whole), `mean_tokens` of one sequence."""
    device = "cuda" if is_gpu else "cpu"
    number_bytes = 2 if is_gpu else _FLOAT_BYTES
    parts = execution.num_processes if execution.sharding == "full" else 1
    is_full = isinstance(spec.method, FullMethod)
    num_trained = num_trained_weights(spec.method, base)
    computed = tokens * (1 + _num_virtual_tokens(spec.method) / max(1.0, mean_tokens))
    per_token = activation_bytes_per_token(
        spec.method, base, number_bytes=number_bytes, gradient_checkpointing=execution.gradient_checkpointing
    )
    return Memory(
        weights_bytes=0 if is_full else int(frozen_bytes(spec.method, base, number_bytes=number_bytes, parts=parts)),
        trained_bytes=int(num_trained * _trained_weight_bytes(spec.method, is_gpu=is_gpu)),
        optimizer_bytes=int(num_trained * (_ADAM_BYTES if spec.optimizer == "adamw" else _ADAM_8BIT_BYTES)),
        activation_bytes=int(computed * per_token * _SLACK[device]),
        loss_bytes=_loss_bytes(spec, base, tokens=tokens, device=device, number_bytes=number_bytes),
        scratch_bytes=_scratch_bytes(spec.method, base, number_bytes=number_bytes, is_sharded=parts > 1),
        runtime_bytes=_RUNTIME_BYTES[device],
    )


def frozen_bytes(method: Method, base: BaseModel, *, number_bytes: int, parts: int = 1) -> float:
    """Of one of `parts` processes: layers are spread over them, but for the scales of 4-bit blocks; the rest is not."""
    spread, whole = float(number_bytes), 0.0
    if quantization_of(method) == "nf4":
        spread, whole = _NF4_BYTES - _NF4_SCALE_BYTES, _NF4_SCALE_BYTES
    linears = architecture.num_linear_weights(base)
    return linears * (spread / parts + whole) + (base.num_parameters - linears) * number_bytes


def num_trained_weights(method: Method, base: BaseModel) -> int:
    """Rank x (inputs + outputs) of each linear layer it is beside; DoRA's lengths, the prompt's vectors, or all."""
    if isinstance(method, FullMethod):
        return base.num_parameters
    if isinstance(method, PromptTuningMethod):
        return method.num_virtual_tokens * base.hidden_size
    linears = target_linears(method, base)
    low_rank = method.rank * sum(linear.inputs + linear.outputs for linear in linears)
    lengths = sum(linear.outputs for linear in linears) if isinstance(method, DoraMethod) else 0
    return base.num_layers * (low_rank + lengths)


def target_linears(method: LowRankMethod, base: BaseModel) -> tuple[Linear, ...]:
    """Of one block."""
    if method.target_modules == "attention":
        return architecture.attention_linears(base)
    return architecture.mlp_linears(base) if method.target_modules == "mlp" else architecture.block_linears(base)


def activation_bytes_per_token(
    method: Method, base: BaseModel, *, number_bytes: int, gradient_checkpointing: bool
) -> float:
    """A, for one token."""
    queries = base.num_heads * base.head_size
    layer = float(7 * base.hidden_size + 4 * queries + 5 * base.intermediate_size)
    if isinstance(method, DoraMethod):
        # each layer's answer without the adapter is kept beside the one with it
        layer += sum(linear.outputs for linear in target_linears(method, base))
    if gradient_checkpointing:
        return number_bytes * (base.num_layers * base.hidden_size + layer)
    return number_bytes * base.num_layers * layer


def _num_virtual_tokens(method: Method) -> int:
    return method.num_virtual_tokens if isinstance(method, PromptTuningMethod) else 0


def _trained_weight_bytes(method: Method, *, is_gpu: bool) -> int:
    weight_and_gradient = 2 * _FLOAT_BYTES
    if isinstance(method, FullMethod) and is_gpu:
        return weight_and_gradient + 2  # and a copy in bfloat16 to compute with
    # the best state so far is kept on the processor, which here is the same memory
    return weight_and_gradient if is_gpu else weight_and_gradient + _FLOAT_BYTES


def _loss_bytes(spec: TrainingSpec, base: BaseModel, *, tokens: int, device: str, number_bytes: int) -> int:
    logits = min(tokens * base.vocab_size, _CHUNK_LOGITS[device])
    kept = tokens * base.hidden_size * number_bytes
    # the gradient of a head that learns is added up in float32
    head = architecture.num_head_weights(base) * _FLOAT_BYTES if isinstance(spec.method, FullMethod) else 0
    return logits * _LOGIT_BYTES[device] + 2 * kept + head


def _scratch_bytes(method: Method, base: BaseModel, *, number_bytes: int, is_sharded: bool) -> int:
    linears = architecture.block_linears(base)
    largest = max(linear.num_weights for linear in linears)
    scratch = 0
    if quantization_of(method) == "nf4":
        scratch += 2 * largest * number_bytes
    if isinstance(method, DoraMethod):
        scratch += 2 * largest * _FLOAT_BYTES
    if is_sharded:
        # the block at work, and the next one on its way
        scratch += 2 * sum(linear.num_weights for linear in linears) * number_bytes
    return scratch
