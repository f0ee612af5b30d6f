"""What plain PEFT answers with a stranger's adapter: the reference that what serves it is compared with.

The trainer of an adapter of ours writes down what it computed. Of one made elsewhere nobody has that, so the library
that it was made with, or for, computes it here: on the base as it is, with the adapter as everybody loads it.

Shapes: N tokens of a row, P places at its end, V vocabulary.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from core.training.methods import Quantization
from worker.inference.lora_linear import adaptable_layers, sizes_of
from worker.inference.runtime import round_to_nf4
from worker.training import parity
from worker.training.data.chat_format import ChatFormat

# questions of anybody, and how an answer to them may begin: what is compared are the scores of these words
_CONVERSATIONS: Final = (
    ("What can you help me with?", "I can answer questions about our products and your orders."),
    ("Write two sentences to a customer whose parcel is late.", "We are sorry that your parcel is late. It will"),
    ("Explain in simple words what an invoice is.", "An invoice is a letter that says what you bought and what"),
    ("Name three things to check before a long journey.", "First, check the tyres. Second, check the oil. Third,"),
)


class PlainBase:
    """A base as transformers loads it, and what the checks of tensors ask of one (`adapter_weights.Base`)."""

    def __init__(self, folder: Path, quantization: Quantization | None) -> None:
        # as the runtime loads it, so that both round alike
        is_gpu = torch.cuda.is_available()
        model: Any = AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=torch.bfloat16 if is_gpu else torch.float32,
            local_files_only=True,
            use_safetensors=True,
            attn_implementation="sdpa",
        )
        self.model: Any = model.to("cuda" if is_gpu else "cpu").eval().requires_grad_(requires_grad=False)
        layers = adaptable_layers(self.model)
        self.linear_shapes: Mapping[str, tuple[int, int]] = sizes_of(layers)
        if quantization == "nf4":
            round_to_nf4(layers.values())

    @property
    def width(self) -> int:
        return int(self.model.get_input_embeddings().embedding_dim)

    @property
    def dtype(self) -> torch.dtype:
        return cast("torch.dtype", self.model.dtype)

    @property
    def device(self) -> torch.device:
        return cast("torch.device", self.model.device)

    def weight(self, name: str) -> Tensor:
        return cast("Tensor", cast("nn.Module", self.model).get_submodule(name).weight)


def rows_of(chat_format: ChatFormat) -> list[list[int]]:
    """Conversations as token ids, each cut to what is quick to compute."""
    rows = []
    for question, answer in _CONVERSATIONS[: parity.MAX_ROWS]:
        asked = chat_format.render_prompt([{"role": "user", "content": question}])
        room = parity.MAX_TOKENS - parity.NUM_PLACES
        rows.append([*asked[-room:], *chat_format.encode_text(answer)[: parity.NUM_PLACES]])
    return rows


@torch.no_grad()
def answered(
    base: PlainBase, adapter: Path, rows: Sequence[Sequence[int]], *, alive: Callable[[], None]
) -> dict[str, Tensor]:
    """The answers with and without the adapter in this folder, as `parity.write` takes them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft reads what transformers renamed
        tuned_model = PeftModel.from_pretrained(base.model, str(adapter)).eval()
        tuned = [_scores_PV(tuned_model, row, alive) for row in rows]
        with tuned_model.disable_adapter():
            plain = [_scores_PV(tuned_model, row, alive) for row in rows]
    return parity.as_tensors(rows, tuned, plain)


def _scores_PV(model: Any, row: Sequence[int], alive: Callable[[], None]) -> Tensor:  # noqa: ANN401, N802 - peft has no types; a shape
    ids_N = torch.tensor([list(row)], device=model.device)  # noqa: N806 - a shape
    # learned vectors stand before the tokens, and have scores too: those of the tokens are the last ones
    scores = model(input_ids=ids_N, attention_mask=torch.ones_like(ids_N)).logits[0]
    alive()
    return cast("Tensor", scores[-min(parity.NUM_PLACES, len(row)) :].float())
