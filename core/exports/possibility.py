"""In which forms a model can be taken away, and why not in the others."""

from dataclasses import dataclass
from typing import Final

from core.adapters.models import Adapter
from core.errors import Invalid
from core.exports.forms import ModelExportFormat, bedrock_refusal

_WHOLE_MODEL: Final = "full"
_SOFT_PROMPT: Final = "prompt_tuning"

# of the catalogue's families; the configuration in the base's own folder has the last word
_NOT_FOR_BEDROCK: Final = ("gemma",)


@dataclass(frozen=True, slots=True)
class Choice:
    """A form in which a model can be taken away, or why it cannot."""

    format: ModelExportFormat
    reason: str | None


def choices(adapter: Adapter) -> list[Choice]:
    return [Choice(one, why_impossible(adapter, one)) for one in ModelExportFormat]


def why_impossible(adapter: Adapter, export_format: ModelExportFormat) -> str | None:
    """In words that end with what to do; None where it can be had."""
    if export_format is ModelExportFormat.ADAPTER:
        if adapter.method == _WHOLE_MODEL:
            return (
                "Every weight of this model has learned, so there are no small weights to take away without the rest. "
                "Take the whole model."
            )
        return None
    if adapter.method == _SOFT_PROMPT:
        return (
            "It learned a beginning that is read before each conversation and changed no weight, so nothing can be "
            "merged into the base model. Take the small form, or train again with a method that changes weights."
        )
    if export_format is ModelExportFormat.BEDROCK and adapter.base_model.startswith(_NOT_FOR_BEDROCK):
        return bedrock_refusal(adapter.base_model)
    return None


def refuse_impossible(adapter: Adapter, export_format: ModelExportFormat) -> None:
    """Raises `Invalid` (`export_not_possible`)."""
    reason = why_impossible(adapter, export_format)
    if reason is not None:
        raise Invalid(reason, code="export_not_possible", param="format", details={"format": export_format.value})
