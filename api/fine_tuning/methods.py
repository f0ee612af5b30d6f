"""How a run learns, on the wire: its objective (`method`), how its base is changed (`adapter`), its loop (`training`).

As asked ("auto", null) until the data is checked; every number resolved from then on.
"""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from api.schemas import ResponseBody
from core.training.knobs import ADAPTER_KNOBS, TRAINING_KNOBS
from core.training.methods import Quantization, TargetModules
from core.training.request import Auto, MethodType, Optimizer, RunRequest, Schedule
from core.training.spec import TrainingSpec


def _is_none(value: object) -> bool:
    return value is None


class Hyperparameters(ResponseBody):
    n_epochs: Auto | int
    batch_size: Auto | int
    learning_rate_multiplier: Auto | float


class OrpoHyperparameters(Hyperparameters):
    beta: Auto | float


class DpoHyperparameters(OrpoHyperparameters):
    label_smoothing: Auto | float


class SupervisedMethod(ResponseBody):
    hyperparameters: Hyperparameters


class DpoMethod(ResponseBody):
    hyperparameters: DpoHyperparameters


class OrpoMethod(ResponseBody):
    hyperparameters: OrpoHyperparameters


class Method(ResponseBody):
    """Only the settings of its type are there, as OpenAI has it."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    type: MethodType
    supervised: SupervisedMethod | None = Field(None, exclude_if=_is_none)
    dpo: DpoMethod | None = Field(None, exclude_if=_is_none)
    orpo: OrpoMethod | None = Field(None, exclude_if=_is_none)
    continued_pretraining: SupervisedMethod | None = Field(None, exclude_if=_is_none)


class AdapterMethod(ResponseBody):
    """Null is what its type does not have or, before the plan, what it was not asked for."""

    type: str
    rank: int | None
    alpha: int | None
    dropout: float | None
    target_modules: TargetModules | None
    quantization: Quantization | Literal["none"] | None
    num_virtual_tokens: int | None
    init_text: str | None
    learning_rate_ratio: float | None
    num_iterations: int | None


class TrainingNumbers(ResponseBody):
    learning_rate: float | None
    schedule: Schedule | None
    warmup_ratio: float | None
    weight_decay: float | None
    max_grad_norm: float | None
    optimizer: Optimizer | None
    max_length_tokens: int | None
    max_seen_tokens: int | None
    eval_every_steps: int | None
    max_heldout_rows: int | None
    early_stopping_patience: int | None


_METHODS: dict[MethodType, type[SupervisedMethod | DpoMethod | OrpoMethod]] = {
    MethodType.SUPERVISED: SupervisedMethod,
    MethodType.DPO: DpoMethod,
    MethodType.ORPO: OrpoMethod,
    MethodType.CONTINUED_PRETRAINING: SupervisedMethod,
}


def hyperparameters_of(request: RunRequest, spec: TrainingSpec | None) -> Hyperparameters:
    """Those that every method has."""
    multiplier = request.learning_rate_multiplier
    if spec is None:
        return Hyperparameters(
            n_epochs=request.n_epochs, batch_size=request.batch_size, learning_rate_multiplier=multiplier
        )
    return Hyperparameters(
        n_epochs=spec.num_epochs,
        batch_size=spec.batch_size,
        learning_rate_multiplier=1.0 if multiplier == "auto" else multiplier,
    )


def method_of(request: RunRequest, spec: TrainingSpec | None) -> Method:
    asked = {"beta": request.beta, "label_smoothing": request.label_smoothing}
    objective = asked if spec is None else spec.objective.model_dump(exclude={"type"})
    values = hyperparameters_of(request, spec).model_dump() | objective
    wanted = _METHODS[request.method_type]
    own = wanted.model_fields["hyperparameters"].annotation
    hyperparameters = {name: value for name, value in values.items() if name in getattr(own, "model_fields", {})}
    settings = wanted.model_validate({"hyperparameters": hyperparameters})
    return Method.model_validate({"type": request.method_type, request.method_type.value: settings})


def adapter_of(request: RunRequest, spec: TrainingSpec | None) -> AdapterMethod:
    asked: dict[str, Any] = {"type": request.adapter_type.value} | {
        name: getattr(request, name) for name in ADAPTER_KNOBS
    }
    if spec is not None:
        method = spec.method.model_dump()
        asked = {name: method.get(name) for name in asked}
        if "quantization" in method:
            asked["quantization"] = method["quantization"] or "none"
    return AdapterMethod(**asked)


def training_of(request: RunRequest, spec: TrainingSpec | None) -> TrainingNumbers:
    source = request if spec is None else spec
    return TrainingNumbers(**{name: getattr(source, name) for name in TRAINING_KNOBS})
