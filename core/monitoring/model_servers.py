"""What answers for which base model, asked of the inference runtime itself."""

from dataclasses import dataclass
from typing import Literal

from core.errors import Unavailable
from core.inference.client import InferenceClient
from core.inference.types import ServedBase


@dataclass(frozen=True, slots=True)
class ModelServers:
    status: Literal["ready", "loading", "failed", "unreachable"]
    problem: str | None
    served: tuple[ServedBase, ...] = ()
    base_budget_bytes: int | None = None
    """What the base models of our own runtime may take of memory together."""


def look(inference: InferenceClient) -> ModelServers:
    """Takes three seconds at most. No session should be open meanwhile."""
    try:
        health = inference.health()
    except Unavailable as error:
        return ModelServers(status="unreachable", problem=error.message)
    return ModelServers(
        status=health.status,
        problem=health.problem,
        served=health.served,
        base_budget_bytes=health.base_budget_bytes,
    )
