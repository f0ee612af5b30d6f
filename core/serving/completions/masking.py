"""Personal data taken out of what was said, before it is written down."""

import re
from typing import Any

from core.datasets.health.personal import SORTS

# these say how a message is built and not what anybody said, as long as they say it in code words: elsewhere, as in the
# parameters of a function, somebody may have given a field that name
_STRUCTURE = frozenset({"role", "type", "id", "tool_call_id", "finish_reason", "created", "system_fingerprint"})
_CODE_WORD = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)


def mask(value: Any) -> Any:  # noqa: ANN401 - JSON
    """A JSON value with a placeholder for whatever looks like personal data (`core.datasets.health.personal`)."""
    if isinstance(value, str):
        for sort in SORTS:
            value = sort.mask(value)
        return value
    if isinstance(value, list):
        return [mask(one) for one in value]
    if isinstance(value, dict):
        return {name: one if _is_structure(name, one) else mask(one) for name, one in value.items()}
    return value


def mask_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """Pairs whose names, too, somebody chose."""
    return {mask(name): mask(value) for name, value in metadata.items()}


def mask_answer(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer's choices masked. Log probabilities go: they spell the words token by token."""
    choices = [{**mask(choice | {"logprobs": None})} for choice in answer.get("choices", [])]
    return {**answer, "choices": choices}


def _is_structure(name: str, value: object) -> bool:
    return name in _STRUCTURE and isinstance(value, str) and _CODE_WORD.fullmatch(value) is not None
