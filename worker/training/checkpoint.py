"""Everything needed to continue as if nothing had happened, in one folder that appears whole or not at all.

`state.safetensors`: adapter, optimizer moments, best adapter so far. `state.json`: position and what it belongs to.
There is no random state: row order and dropout are functions of seed, epoch and step.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

_KEPT = 2  # the newest may lie on a failing disk; one more is insurance
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(slots=True)
class Position:
    step: int = 0
    seen_tokens: int = 0
    trained_tokens: int = 0
    training_s: float = 0.0
    base_loss: float | None = None
    base_accuracy: float | None = None
    best_step: int | None = None
    best_loss: float | None = None
    best_accuracy: float | None = None


@dataclass(slots=True)
class Checkpoint:
    position: Position
    tensors: dict[str, Tensor]

    def section(self, name: str) -> dict[str, Tensor]:
        """Tensors saved under a section, by their own names."""
        prefix = f"{name}/"
        return {key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)}


def save(folder: Path, *, position: Position, belongs_to: str, sections: Mapping[str, Mapping[str, Tensor]]) -> None:
    final = folder / f"step-{position.step:08d}"
    partial = folder / f".partial-{position.step:08d}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    tensors = {f"{section}/{name}": tensor for section, named in sections.items() for name, tensor in named.items()}
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial / "state.safetensors"
    )
    state = {"position": asdict(position), "belongs_to": belongs_to}
    (partial / "state.json").write_text(json.dumps(state, indent=2))
    for path in partial.iterdir():
        sync(path)
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)
    sync(folder)
    for old in _complete(folder)[_KEPT:]:
        shutil.rmtree(old)


def newest(folder: Path, *, belongs_to: str) -> Checkpoint | None:
    """The newest readable checkpoint of exactly this spec, data and precision; None to start afresh."""
    for path in _complete(folder):
        try:
            state = json.loads((path / "state.json").read_text())
            if state["belongs_to"] == belongs_to:
                return Checkpoint(Position(**state["position"]), load_file(path / "state.safetensors"))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            continue  # a damaged checkpoint is as good as none
    return None


def optimizer_tensors(optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """AdamW's moments by the name of the weight they belong to."""
    return {
        f"{name}.{moment}": optimizer.state[weight][moment]
        for name, weight in parameters.items()
        for moment in _MOMENTS
        if moment in optimizer.state[weight]
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor]
) -> None:
    for name, weight in parameters.items():
        optimizer.state[weight] = {
            moment: tensors[f"{name}.{moment}"].to("cpu" if moment == "step" else weight.device) for moment in _MOMENTS
        }


def sync(path: Path) -> None:
    """On the disk, not only in the page cache: what is renamed next must survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _complete(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)
