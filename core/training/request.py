"""What may be asked of a run.

Ranges and names are those of the OpenAI wire; `adapter`, `recipe` and `name` are ours.
"""

import secrets
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from core.errors import Invalid
from core.jobs.service import MAX_PRIORITY
from core.training.recipes import Recipe

Auto = Literal["auto"]

MAX_EPOCHS = 50
MAX_BATCH_SIZE = 256
MAX_SUFFIX_CHARS = 64
MAX_NAME_CHARS = 100
MAX_RANK = 256
MAX_SEED = 2**31 - 1
MAX_METADATA_PAIRS = 16
MAX_METADATA_KEY_CHARS = 64
MAX_METADATA_VALUE_CHARS = 512
_HYPERPARAMETERS = "method.supervised.hyperparameters"


class AdapterType(StrEnum):
    AUTO = "auto"
    LORA = "lora"
    QLORA = "qlora"


class RunRequest(BaseModel):
    """A checked request for one run; kept with the run as it was asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    dataset_version_id: str | None = None
    training_file: str | None = None
    validation_file: str | None = None
    name: str | None = None
    suffix: str | None = None
    recipe: Recipe = Recipe.BALANCED
    adapter_type: AdapterType = AdapterType.AUTO
    rank: int | None = None
    n_epochs: Auto | int = "auto"
    batch_size: Auto | int = "auto"
    learning_rate_multiplier: Auto | float = "auto"
    seed: int | None = None
    metadata: dict[str, str] | None = None

    @property
    def resolved_adapter_type(self) -> AdapterType:
        """QLoRA unless LoRA was asked for: the same quality for a quarter of the base model's memory."""
        return AdapterType.LORA if self.adapter_type is AdapterType.LORA else AdapterType.QLORA


def check(request: RunRequest, *, priority: int = 0) -> None:
    """Raises `Invalid`, naming the field, for whatever is out of range."""
    if (request.dataset_version_id is None) == (request.training_file is None):
        raise Invalid(
            "Say what to train on: either training_file or dataset_version_id, not both and not neither.",
            code="training_data_required",
            param="training_file",
        )
    _check_range(request.n_epochs, 1, MAX_EPOCHS, f"{_HYPERPARAMETERS}.n_epochs")
    _check_range(request.batch_size, 1, MAX_BATCH_SIZE, f"{_HYPERPARAMETERS}.batch_size")
    _check_range(request.rank, 1, MAX_RANK, "adapter.rank")
    _check_range(request.seed, 0, MAX_SEED, "seed")
    multiplier = request.learning_rate_multiplier
    if not isinstance(multiplier, str) and not 0 < multiplier < float("inf"):
        param = f"{_HYPERPARAMETERS}.learning_rate_multiplier"
        raise Invalid(f"{param} must be greater than 0; it is {multiplier}.", code="out_of_range", param=param)
    _check_length(request.suffix, MAX_SUFFIX_CHARS, "suffix")
    check_name(request.name)
    check_metadata(request.metadata)
    check_priority(priority)


def check_method_type(method_type: str) -> None:
    """Raises `Invalid` for a method of the wire that we cannot run."""
    if method_type != "supervised":
        raise Invalid(
            f"The method {method_type!r} is not available here; the only one so far is 'supervised'. Send rows with "
            "the answers you want and method.type 'supervised'.",
            code="unsupported_method",
            param="method.type",
        )


def check_metadata(metadata: dict[str, str] | None) -> None:
    """Raises `Invalid` beyond 16 pairs, 64 characters of a key or 512 of a value."""
    pairs = metadata or {}
    if len(pairs) > MAX_METADATA_PAIRS:
        raise Invalid(
            f"metadata may hold {MAX_METADATA_PAIRS} pairs; it has {len(pairs)}.", code="out_of_range", param="metadata"
        )
    for key, value in pairs.items():
        if not 1 <= len(key) <= MAX_METADATA_KEY_CHARS or len(value) > MAX_METADATA_VALUE_CHARS:
            raise Invalid(
                f"A key of metadata has 1 to {MAX_METADATA_KEY_CHARS} characters and a value at most "
                f"{MAX_METADATA_VALUE_CHARS}; {key[:MAX_METADATA_KEY_CHARS]!r} does not keep to that.",
                code="out_of_range",
                param="metadata",
            )


def check_priority(priority: int) -> None:
    """Raises `Invalid` beyond -100 to 100."""
    _check_range(priority, -MAX_PRIORITY, MAX_PRIORITY, "priority")


def check_name(name: str | None) -> None:
    """Raises `Invalid` for an empty or too long one."""
    _check_length(name, MAX_NAME_CHARS, "name")


def new_seed() -> int:
    return secrets.randbelow(MAX_SEED + 1)


def _check_range(value: Auto | int | None, low: int, high: int, param: str) -> None:
    if isinstance(value, int) and not low <= value <= high:
        raise Invalid(f"{param} must be between {low} and {high}; it is {value}.", code="out_of_range", param=param)


def _check_length(value: str | None, high: int, param: str) -> None:
    if value is not None and not 1 <= len(value.strip()) <= high:
        raise Invalid(
            f"{param} must have 1 to {high} characters; it has {len(value.strip())}.", code="out_of_range", param=param
        )
