"""What may be asked of a run.

Ranges and names are those of the OpenAI wire; `adapter`, `training`, `recipe` and `name` are ours.
"""

import secrets
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from core.datasets.types import RowKind
from core.errors import Invalid
from core.jobs.service import MAX_PRIORITY
from core.training import knobs
from core.training.methods import TargetModules
from core.training.objectives import (
    ContinuedPretrainingObjective,
    DpoObjective,
    Objective,
    OrpoObjective,
    SftObjective,
    row_kind_of,
)
from core.training.recipes import Recipe

Auto = Literal["auto"]
Schedule = Literal["linear", "cosine", "constant"]
Optimizer = Literal["adamw", "adamw_8bit", "paged_adamw_8bit"]

MAX_EPOCHS = 50
MAX_BATCH_SIZE = 256
MAX_SUFFIX_CHARS = 64
MAX_NAME_CHARS = 100
MAX_SEED = 2**31 - 1
MAX_METADATA_PAIRS = 16
MAX_METADATA_KEY_CHARS = 64
MAX_METADATA_VALUE_CHARS = 512


class MethodType(StrEnum):
    """What is learned from the rows, in the wire's words; `core.training.objectives` has the mathematics."""

    SUPERVISED = "supervised"
    DPO = "dpo"
    ORPO = "orpo"
    CONTINUED_PRETRAINING = "continued_pretraining"


class AdapterType(StrEnum):
    """How the base is changed; `core.training.methods` has each. `auto` is LoRA or QLoRA, as the plan decides."""

    AUTO = "auto"
    LORA = "lora"
    QLORA = "qlora"
    RSLORA = "rslora"
    DORA = "dora"
    LORA_PLUS = "lora_plus"
    PISSA = "pissa"
    PROMPT_TUNING = "prompt_tuning"
    FULL = "full"


_OBJECTIVES: Final[dict[MethodType, type[Objective]]] = {
    MethodType.SUPERVISED: SftObjective,
    MethodType.DPO: DpoObjective,
    MethodType.ORPO: OrpoObjective,
    MethodType.CONTINUED_PRETRAINING: ContinuedPretrainingObjective,
}
# a first choice for whoever has rows of this kind
_FITTING: Final = {
    RowKind.CHAT: "rows of questions and answers fit 'supervised'",
    RowKind.PREFERENCE: "rows with a preferred and a rejected answer fit 'dpo' or 'orpo'",
    RowKind.TEXT: "plain text fits 'continued_pretraining'",
}
_NEEDED: Final = {
    RowKind.CHAT: "rows of questions and answers",
    RowKind.PREFERENCE: "rows with a preferred and a rejected answer",
    RowKind.TEXT: "plain text",
}
_NO_REFERENCE: Final = frozenset({AdapterType.FULL, AdapterType.PISSA})


class RunRequest(BaseModel):
    """A checked request for one run; kept with the run as it was asked. None and "auto" are for the plan to decide."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    dataset_version_id: str | None = None
    training_file: str | None = None
    validation_file: str | None = None
    validation_dataset_version_id: str | None = None
    name: str | None = None
    suffix: str | None = None
    recipe: Recipe = Recipe.BALANCED

    method_type: MethodType = MethodType.SUPERVISED
    n_epochs: Auto | int = "auto"
    batch_size: Auto | int = "auto"
    learning_rate_multiplier: Auto | float = "auto"
    beta: Auto | float = "auto"
    label_smoothing: Auto | float = "auto"

    adapter_type: AdapterType = AdapterType.AUTO
    rank: int | None = None
    alpha: int | None = None
    dropout: float | None = None
    target_modules: TargetModules | None = None
    quantization: Literal["nf4", "none"] | None = None
    num_virtual_tokens: int | None = None
    init_text: str | None = None
    learning_rate_ratio: float | None = None
    num_iterations: int | None = None

    learning_rate: float | None = None
    schedule: Schedule | None = None
    warmup_ratio: float | None = None
    weight_decay: float | None = None
    max_grad_norm: float | None = None
    optimizer: Optimizer | None = None
    max_length_tokens: int | None = None
    max_seen_tokens: int | None = None
    eval_every_steps: int | None = None
    max_heldout_rows: int | None = None
    early_stopping_patience: int | None = None

    seed: int | None = None
    metadata: dict[str, str] | None = None

    @property
    def resolved_adapter_type(self) -> AdapterType:
        """QLoRA where nothing was asked: the same quality as LoRA for a quarter of the base model's memory."""
        return AdapterType.QLORA if self.adapter_type is AdapterType.AUTO else self.adapter_type

    @property
    def has_validation(self) -> bool:
        """Whether it is measured with rows of their own, and not with those that the version holds out."""
        return self.validation_file is not None or self.validation_dataset_version_id is not None

    @property
    def row_kind(self) -> RowKind:
        """The kind of rows that it learns from."""
        return row_kind_of(self.objective)

    @property
    def objective(self) -> Objective:
        """What is learned, with the numbers that were asked for. Raises where `check` would."""
        return _OBJECTIVES[self.method_type](**self._objective_knobs())

    @property
    def hyperparameters_path(self) -> str:
        """Where on the wire its epochs and its like are."""
        return f"method.{self.method_type}.hyperparameters"

    def adapter_knobs(self) -> dict[str, Any]:
        """What was asked of the adapter, by the names that `core.training.methods` has for it."""
        asked = {name: getattr(self, name) for name in knobs.ADAPTER_KNOBS if getattr(self, name) is not None}
        return asked | ({"quantization": None} if self.quantization == "none" else {})

    def training_knobs(self) -> dict[str, Any]:
        """What was asked of the training, by the names of `TrainingSpec`."""
        return {name: getattr(self, name) for name in knobs.TRAINING_KNOBS if getattr(self, name) is not None}

    def changed(self, changes: Mapping[str, Any]) -> "RunRequest":
        """The same with other fields. What belonged to a method that is changed goes with it, unless it is sent too."""
        asked = self.model_dump() | dict(changes)
        if asked["method_type"] != self.method_type:
            fields = _OBJECTIVES[MethodType(asked["method_type"])].model_fields
            asked |= {name: "auto" for name in ("beta", "label_smoothing") if name not in {*changes, *fields}}
        if asked["adapter_type"] != self.adapter_type:
            fitting = knobs.adapter_knobs_of(asked["adapter_type"])
            asked |= {name: None for name in knobs.ADAPTER_KNOBS if name not in {*changes, *fitting}}
        # of the two that decide the learning rate, the one that is sent
        if changes.get("learning_rate_multiplier", "auto") != "auto":
            asked["learning_rate"] = changes.get("learning_rate")
        elif changes.get("learning_rate") is not None:
            asked["learning_rate_multiplier"] = "auto"
        return RunRequest.model_validate(asked)

    def _objective_knobs(self) -> dict[str, float]:
        asked = {"beta": self.beta, "label_smoothing": self.label_smoothing}
        return {name: value for name, value in asked.items() if value != "auto"}


def check(request: RunRequest, *, priority: int = 0) -> None:
    """Raises `Invalid`, naming the field, for whatever is out of range or does not go together."""
    if (request.dataset_version_id is None) == (request.training_file is None):
        raise Invalid(
            "Say what to train on: either training_file or dataset_version_id, not both and not neither.",
            code="training_data_required",
            param="training_file",
        )
    if request.validation_file is not None and request.validation_dataset_version_id is not None:
        raise Invalid(
            "Say what to measure with once: either validation_file or validation_dataset_version_id.",
            code="settings_do_not_fit",
            param="validation_dataset_version_id",
        )
    _check_hyperparameters(request)
    knobs.check_adapter(request.adapter_type.value, request.adapter_knobs())
    knobs.check_training(request.training_knobs())
    _check_combination(request)
    _check_range(request.seed, 0, MAX_SEED, "seed")
    _check_length(request.suffix, MAX_SUFFIX_CHARS, "suffix")
    check_name(request.name)
    check_metadata(request.metadata)
    check_priority(priority)


def check_method_type(method_type: str) -> MethodType:
    """Raises `Invalid` for a method of the wire that we cannot run."""
    if method_type in set(MethodType):
        return MethodType(method_type)
    available = ", ".join(MethodType)
    raise Invalid(
        f"The method {method_type!r} is not available here; choose one of: {available}. To learn from a grader's "
        "judgement, let it choose between two answers of each row and send them with method.type 'dpo'."
        if method_type == "reinforcement"
        else f"The method {method_type!r} is not available here; choose one of: {available}.",
        code="unsupported_method",
        param="method.type",
    )


def check_row_kind(request: RunRequest, kind: RowKind, *, param: str) -> None:
    """Raises `Invalid`, saying which method fits, for data of another kind than the method learns from."""
    if kind is not request.row_kind:
        raise Invalid(
            f"The method {request.method_type.value!r} learns from {_NEEDED[request.row_kind]}, and this is another "
            f"kind of data: {_FITTING[kind]}. Change the method, or choose other data.",
            code="data_does_not_fit_method",
            param=param,
            details={"row_kind": kind.value, "needed_row_kind": request.row_kind.value},
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


def _check_hyperparameters(request: RunRequest) -> None:
    path = request.hyperparameters_path
    _check_range(request.n_epochs, 1, MAX_EPOCHS, f"{path}.n_epochs")
    _check_range(request.batch_size, 1, MAX_BATCH_SIZE, f"{path}.batch_size")
    multiplier = request.learning_rate_multiplier
    if not isinstance(multiplier, str) and not 0 < multiplier < float("inf"):
        param = f"{path}.learning_rate_multiplier"
        raise Invalid(f"{param} must be greater than 0; it is {multiplier}.", code="out_of_range", param=param)
    fields = _OBJECTIVES[request.method_type].model_fields
    for name, value in (("beta", request.beta), ("label_smoothing", request.label_smoothing)):
        if value == "auto":
            continue
        if name not in fields:
            raise Invalid(
                f"{name} does not belong to the method {request.method_type.value!r}. Leave it out.",
                code="setting_does_not_apply",
                param=f"{path}.{name}",
            )
        knobs.check_value(fields[name], value, f"{path}.{name}")


def _check_combination(request: RunRequest) -> None:
    if request.method_type is MethodType.DPO and request.adapter_type in _NO_REFERENCE:
        raise Invalid(
            "The method 'dpo' compares with the untouched base model, which adapter.type "
            f"{request.adapter_type.value!r} does not keep. Choose adapter.type 'lora', or the method 'orpo'.",
            code="settings_do_not_fit",
            param="adapter.type",
        )
    if request.learning_rate is not None and request.learning_rate_multiplier != "auto":
        raise Invalid(
            "training.learning_rate and learning_rate_multiplier both decide the learning rate. Send one of them.",
            code="settings_do_not_fit",
            param="training.learning_rate",
        )


def _check_range(value: Auto | int | None, low: int, high: int, param: str) -> None:
    if isinstance(value, int) and not low <= value <= high:
        raise Invalid(f"{param} must be between {low} and {high}; it is {value}.", code="out_of_range", param=param)


def _check_length(value: str | None, high: int, param: str) -> None:
    if value is not None and not 1 <= len(value.strip()) <= high:
        raise Invalid(
            f"{param} must have 1 to {high} characters; it has {len(value.strip())}.", code="out_of_range", param=param
        )
