"""The catalogue of base models, and which of them are on this machine's disk."""

import json
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from core.base_models.types import MARKER_NAME, BaseModel, ModelFolder
from core.config import Settings
from core.errors import NotFound
from core.kit.hashing import sha256_bytes

_CATALOGUE = Path(__file__).with_name("catalogue.json")


@cache
def list_base_models() -> tuple[BaseModel, ...]:
    """Every model we know, in the catalogue's order, on disk or not."""
    return tuple(TypeAdapter(list[BaseModel]).validate_json(_CATALOGUE.read_bytes()))


def get(model_id: str) -> BaseModel:
    for model in list_base_models():
        if model.id == model_id:
            return model
    known = ", ".join(model.id for model in list_base_models())
    raise NotFound(
        f"There is no base model {model_id!r}. Choose one of: {known}.", code="model_not_found", param="model"
    )


def default_base_model() -> BaseModel:
    return next(model for model in list_base_models() if model.is_default)


def folder(settings: Settings, model_id: str) -> Path:
    """Where the model's files are, or would be."""
    return settings.base_models_dir / get(model_id).id


def is_ready(settings: Settings, model_id: str) -> bool:
    """True if the folder is whole, of the catalogue's revision, and every file has its size.

    Cheap enough for every listing. `worker.base_models` also compares the sha256 sums when it prepares.
    """
    model = get(model_id)
    path = folder(settings, model_id)
    marker = read_marker(path)
    if marker is None or marker.id != model.id or marker.revision != model.revision:
        return False
    return all(_size(path / name) == file.num_bytes for name, file in marker.files.items())


def read_marker(path: Path) -> ModelFolder | None:
    """The marker of a model folder; None where there is none that can be read."""
    try:
        return ModelFolder.model_validate_json((path / MARKER_NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def weights_sha256(path: Path) -> str | None:
    """One digest for all weights in a model folder, as its marker has them; None without a marker.

    The same for the same weights on every machine, whatever else lies in the folder.
    """
    marker = read_marker(path)
    if marker is None:
        return None
    weights = sorted((name, file.sha256) for name, file in marker.files.items() if name.endswith(".safetensors"))
    return sha256_bytes(json.dumps(weights).encode())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
