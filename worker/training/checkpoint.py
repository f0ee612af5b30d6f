"""Everything needed to continue as if nothing had happened.

`state.safetensors`: adapter, optimizer state, best adapter so far, adapters of the last epochs. `state.json`: the
position in the run.
There is no random state: row order and dropout are functions of seed, epoch and step.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from worker.training import snapshot
from worker.training.snapshot import Damaged, Snapshot

_STATE, _POSITION = "state.safetensors", "state.json"


@dataclass(slots=True)
class Position:
    step: int = 0
    seen_tokens: int = 0
    trained_tokens: int = 0
    training_s: float = 0.0
    """Of the steps; speed is reckoned from it."""
    billable_s: float = 0.0
    """In which the model worked on its data, evaluations too, in the history of this very state."""
    measured_step: int = -1
    """The last step after which the held-out rows were measured; -1 before the base was."""
    base_loss: float | None = None
    base_accuracy: float | None = None
    best_step: int | None = None
    best_loss: float | None = None
    best_accuracy: float | None = None
    num_worse: int = 0
    """Measurements in a row that were no better than the best; early stopping counts them."""


@dataclass(slots=True)
class Checkpoint:
    position: Position
    tensors: dict[str, Tensor]

    def sections(self) -> set[str]:
        return {key.partition("/")[0] for key in self.tensors}

    def section(self, name: str) -> dict[str, Tensor]:
        """Tensors saved under a section, by their own names."""
        prefix = f"{name}/"
        return {key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)}


def save(
    folder: Path, *, position: Position, belongs_to: str, sections: Mapping[str, Mapping[str, Tensor]]
) -> Snapshot:
    """Raises OSError, also for a full disk; the checkpoints before it are then untouched."""

    def fill(partial: Path) -> None:
        tensors = {
            f"{section}/{name}": tensor.detach().cpu().contiguous()
            for section, named in sections.items()
            for name, tensor in named.items()
        }
        save_file(tensors, partial / _STATE)
        (partial / _POSITION).write_text(json.dumps({"position": asdict(position)}, indent=2))

    return snapshot.write(folder, step=position.step, belongs_to=belongs_to, fill=fill)


def load(found: Snapshot) -> Checkpoint:
    """Raises `Damaged` for verified bytes that make no sense: those of another version of this program."""
    try:
        position = Position(**json.loads((found.path / _POSITION).read_bytes())["position"])
        return Checkpoint(position, load_file(found.path / _STATE))
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        if "os error" in str(error):
            raise  # the machine refuses to read, for want of memory: nothing is wrong with the checkpoint
        raise Damaged("it was made by another version of this program") from error
