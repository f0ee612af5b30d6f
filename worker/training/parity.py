"""What the training path answers to a few rows, kept beside the adapter: what serves it must answer the same.

A model that is served by another template, tokenizer or base than it was trained with, or by code that computes
something else, is wrong in ways that nobody sees. So the trainer writes down what it computed, in the very state that
is shipped, and the runtime compares before the model answers anybody (`worker.inference.proof`).

Shapes: N tokens of a row, P places at its end, K scores of each place, V vocabulary.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from core.adapters.types import PARITY_FILE
from core.base_models import service as base_models
from core.errors import Invalid
from worker.training.data.chat_format import ChatFormat
from worker.training.data.token_index import TokenIndex
from worker.training.methods.model import TunableModel

NAME: Final = PARITY_FILE
MAX_ROWS: Final = 4
MAX_TOKENS: Final = 96
NUM_PLACES: Final = 8
_NUM_SCORES: Final = 256
# among the tensors of a state that is kept, those that are not the adapter's
_PREFIX: Final = "parity."
_IDENTITY: Final = "identity"

Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Identity:
    """What must be the same where the adapter is served."""

    template_sha256: str
    tokenizer_sha256: str
    base_sha256: str | None
    """Of the base's weights, by the marker of its folder; None for a folder without one."""


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    """The training path's highest scores at the last places of a row."""

    token_ids: tuple[int, ...]
    score_ids_PK: Tensor
    scores_PK: Tensor
    base_scores_PK: Tensor | None
    """Of the base without what was learned; None where a method changes the base, and in files older than this."""


@dataclass(frozen=True, slots=True)
class Reference:
    identity: Identity
    compute_dtype: str
    rows: tuple[ReferenceRow, ...]


def identity_of(base_model_dir: Path, chat_format: ChatFormat) -> Identity:
    return Identity(
        template_sha256=chat_format.template_sha256,
        tokenizer_sha256=chat_format.tokenizer_sha256,
        base_sha256=base_models.weights_sha256(base_model_dir),
    )


def pick_rows(index: TokenIndex) -> list[list[int]]:
    """The shortest sequence, the longest, and two between them; cut to what is quick to compute."""
    lengths = (index.offsets[1:] - index.offsets[:-1]).tolist()
    by_length = sorted((length, at) for at, length in enumerate(lengths) if length > 1)
    if not by_length:
        return []
    last = len(by_length) - 1
    places = sorted({round(last * share / (MAX_ROWS - 1)) for share in range(MAX_ROWS)})
    return [index.tokens(by_length[place][1])[:MAX_TOKENS].tolist() for place in places]


@torch.no_grad()
def answered(model: TunableModel, rows: Sequence[Sequence[int]]) -> Tensors:
    """What the model says to the rows as it is now, as tensors to keep beside its own."""
    if not rows:
        return {}
    model.set_dropout(is_on=False)
    tuned = _scores(model, rows)
    base = None
    if model.keeps_base:
        with model.reference():
            base = _scores(model, rows)
    return as_tensors(rows, tuned, base)


def as_tensors(rows: Sequence[Sequence[int]], tuned: Sequence[Tensor], base: Sequence[Tensor] | None) -> Tensors:
    """Of each row the highest scores at its last places (PV, with and without what was learned), by `write`'s names."""
    found: Tensors = {}
    for at, row in enumerate(rows):
        top = tuned[at].topk(min(_NUM_SCORES, tuned[at].shape[-1]), dim=-1)
        name = f"{_PREFIX}{at}"
        found[f"{name}.token_ids"] = torch.tensor(row, dtype=torch.int32)
        found[f"{name}.score_ids"] = top.indices.to("cpu", torch.int32).contiguous()
        found[f"{name}.scores"] = top.values.to("cpu").contiguous()
        if base is not None:
            found[f"{name}.base_scores"] = base[at].gather(1, top.indices).to("cpu").contiguous()
    return found


def _scores(model: TunableModel, rows: Sequence[Sequence[int]]) -> list[Tensor]:
    """Of each row, at its last places (PV)."""
    token_ids_T = torch.tensor([one for row in rows for one in row], device=model.device)
    hidden_TD = model.hidden(token_ids_T, sequence_lengths=[len(row) for row in rows])
    found = []
    end = 0
    for row in rows:
        end += len(row)
        scores_PV = model.head(hidden_TD[end - min(NUM_PLACES, len(row)) : end]).float()
        if model.logit_softcap is not None:
            scores_PV = (scores_PV / model.logit_softcap).tanh() * model.logit_softcap
        found.append(scores_PV)
    return found


def split(tensors: Mapping[str, Tensor]) -> tuple[Tensors, Tensors]:
    """The adapter's own tensors, and what was answered in that state."""
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith(_PREFIX)}
    return own, {name: tensor for name, tensor in tensors.items() if name.startswith(_PREFIX)}


def write(folder: Path, answers: Tensors, *, identity: Identity, compute_dtype: str) -> None:
    if answers:
        said = json.dumps(asdict(identity) | {"compute_dtype": compute_dtype}, sort_keys=True)
        # one entry: several would stand in another order each time, and the file would have another digest
        save_file(answers, folder / NAME, metadata={_IDENTITY: said})


def read(content: bytes) -> Reference:
    """Raises `Invalid` (`proof_unreadable`) for a file that was not written by `write`."""
    try:
        header = content[8 : 8 + int.from_bytes(content[:8], "little")]
        said = json.loads(json.loads(header)["__metadata__"][_IDENTITY])
        tensors = load(content)
        compute_dtype = str(said.pop("compute_dtype"))
        num_rows = sum(name.endswith(".token_ids") for name in tensors)
        rows = tuple(_row(tensors, f"{_PREFIX}{at}") for at in range(num_rows))
        return Reference(identity=Identity(**said), compute_dtype=compute_dtype, rows=rows)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise Invalid(
            "What the trainer wrote down to compare with cannot be read, so nobody knows whether this model answers "
            "as it was trained. Train it again.",
            code="proof_unreadable",
            param="model",
        ) from error


def _row(tensors: Tensors, name: str) -> ReferenceRow:
    token_ids = tuple(int(one) for one in tensors[f"{name}.token_ids"].tolist())
    ids, scores = tensors[f"{name}.score_ids"].long(), tensors[f"{name}.scores"]
    base = tensors.get(f"{name}.base_scores")
    if not 1 < len(token_ids) <= MAX_TOKENS or ids.shape != scores.shape or len(ids) > len(token_ids):
        raise ValueError(name)
    if base is not None and base.shape != scores.shape:
        raise ValueError(name)
    return ReferenceRow(token_ids=token_ids, score_ids_PK=ids, scores_PK=scores, base_scores_PK=base)
