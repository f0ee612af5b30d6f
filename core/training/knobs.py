"""What an expert may set: to what each setting belongs, the range that it keeps to, and the sentence when it does not.

Read off the closed models of methods, objectives and specs, so that a range is written once.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from core.errors import Invalid
from core.training.methods import Closed, LoraMethod, Method
from core.training.spec import TrainingSpec

METHOD_MODELS: Final[dict[str, type[Closed]]] = {
    model.model_fields["type"].default: model for model in get_args(get_args(Method)[0])
}
ADAPTER_KNOBS: Final = (
    "rank", "alpha", "dropout", "target_modules", "quantization", "num_virtual_tokens", "init_text",
    "learning_rate_ratio", "num_iterations",
)  # fmt: skip
TRAINING_KNOBS: Final = (
    "learning_rate", "schedule", "warmup_ratio", "weight_decay", "max_grad_norm", "optimizer", "max_length_tokens",
    "max_seen_tokens", "eval_every_steps", "max_heldout_rows", "early_stopping_patience",
)  # fmt: skip


def adapter_knobs_of(adapter_type: str) -> set[str]:
    """The settings that a method has. `auto` has those of LoRA: what it decides is the 4 bits beside them."""
    return {*METHOD_MODELS.get(adapter_type, LoraMethod).model_fields} & {*ADAPTER_KNOBS}


def check_adapter(adapter_type: str, knobs: Mapping[str, Any]) -> None:
    """Raises `Invalid`, naming the field, for a knob that the method does not have or that is out of its range."""
    model = METHOD_MODELS.get(adapter_type, LoraMethod)
    for name, value in knobs.items():
        param = f"adapter.{name}"
        field = model.model_fields.get(name)
        if field is None:
            owners = [known for known, other in METHOD_MODELS.items() if name in other.model_fields]
            raise Invalid(
                f"{param} does not belong to {adapter_type!r}. Leave it out, or choose as adapter.type one of: "
                f"{', '.join(owners)}.",
                code="setting_does_not_apply",
                param=param,
            )
        check_value(field, value, param)


def check_training(knobs: Mapping[str, Any]) -> None:
    """Raises `Invalid`, naming the field, for a setting of `TrainingSpec` that is out of its range."""
    for name, value in knobs.items():
        check_value(TrainingSpec.model_fields[name], value, f"training.{name}")


def check_value(field: FieldInfo, value: object, param: str) -> None:
    """Raises `Invalid` with the field's own range."""
    kept: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    try:
        TypeAdapter(kept).validate_python(value)
    except ValidationError as error:
        is_text = isinstance(value, str) and bool(field.metadata)
        shown = f"has {len(str(value))}" if is_text else f"is {'none' if value is None else value}"
        raise Invalid(f"{param} must {_range(field)}; it {shown}.", code="out_of_range", param=param) from error


def _range(field: FieldInfo) -> str:
    """The words after "must"."""
    names = ("ge", "gt", "le", "lt", "min_length", "max_length")
    bounds = {name: getattr(rule, name) for rule in field.metadata for name in names if hasattr(rule, name)}
    if "max_length" in bounds:
        return f"have {bounds.get('min_length', 0)} to {bounds['max_length']} characters"
    if {"ge", "le"} <= bounds.keys():
        return f"be between {bounds['ge']} and {bounds['le']}"
    words = {"ge": "at least", "gt": "above", "lt": "below", "le": "at most"}
    said = [f"{words[name]} {bound}" for name, bound in bounds.items() if name in words]
    return f"be {' and '.join(said)}" if said else f"be one of: {', '.join(map(str, get_args(field.annotation)))}"
