from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class NewCompletion:
    """An answer to keep."""

    id: str
    workspace_id: str
    created_by: str | None
    model: str
    messages: list[Any]
    parameters: dict[str, Any]
    answer: dict[str, Any]
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class CompletionFilter:
    """`metadata` pairs that an answer must have."""

    model: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
