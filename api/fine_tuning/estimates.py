"""What a run would take and cost, on the wire."""

from typing import Any, Literal

from api.schemas import ResponseBody
from core.kit.money import usd
from core.training.hardware import Place
from core.training.planning import Plan
from core.usage.models import Price


class JobEstimate(ResponseBody):
    seconds: float
    seconds_low: float
    seconds_high: float
    cost_usd: float
    cost_usd_low: float
    cost_usd_high: float
    total_tokens: int
    num_steps: int
    peak_memory_bytes: int


class JobWarning(ResponseBody):
    code: Literal["estimate_above_limit"]
    message: str


class PlannedHyperparameters(ResponseBody):
    n_epochs: int
    batch_size: int
    learning_rate: float
    rank: int
    method: str
    max_length_tokens: int


class RecipeEstimate(JobEstimate):
    recipe: str
    is_recommended: bool
    hyperparameters: PlannedHyperparameters
    warning: JobWarning | None


class EstimatePrice(ResponseBody):
    usd_per_hour: float
    hardware: str
    source: str


class EstimateQueue(ResponseBody):
    name: str
    position: int
    starts_in_s: float | None


class EstimateBody(ResponseBody):
    object: Literal["fine_tuning.estimate"] = "fine_tuning.estimate"
    estimates: list[RecipeEstimate]
    price: EstimatePrice
    queue: EstimateQueue


def estimate_body(
    plans: list[Plan], *, recommended: str, price: Price, place: Place, max_cost_micros: int | None = None
) -> EstimateBody:
    return EstimateBody(
        estimates=[
            RecipeEstimate(
                recipe=plan.recipe.value,
                is_recommended=plan.recipe.value == recommended,
                hyperparameters=PlannedHyperparameters(
                    n_epochs=plan.spec.num_epochs,
                    batch_size=plan.spec.batch_size,
                    learning_rate=plan.spec.learning_rate,
                    rank=plan.spec.method.rank,
                    method=plan.spec.method.type,
                    max_length_tokens=plan.spec.max_length_tokens,
                ),
                warning=warning_of(plan.dump(), max_cost_micros=max_cost_micros),
                **estimate_of(plan.dump()).model_dump(),
            )
            for plan in plans
        ],
        price=EstimatePrice(usd_per_hour=usd(price.micros_per_hour), hardware=price.hardware, source=price.source),
        queue=EstimateQueue(
            name=place.queue.value, position=place.outlook.position, starts_in_s=place.outlook.starts_in_s
        ),
    )


def estimate_of(estimate: dict[str, Any]) -> JobEstimate:
    return JobEstimate(
        seconds=estimate["seconds"],
        seconds_low=estimate["seconds_low"],
        seconds_high=estimate["seconds_high"],
        cost_usd=usd(estimate["cost_micros"]),
        cost_usd_low=usd(estimate["cost_micros_low"]),
        cost_usd_high=usd(estimate["cost_micros_high"]),
        total_tokens=estimate["total_tokens"],
        num_steps=estimate["num_steps"],
        peak_memory_bytes=estimate["peak_memory_bytes"],
    )


def warning_of(estimate: dict[str, Any] | None, *, max_cost_micros: int | None) -> JobWarning | None:
    """The limit is lower than what the run will likely cost: it may be meant so, and is no error."""
    if estimate is None or max_cost_micros is None or estimate["cost_micros"] <= max_cost_micros:
        return None
    return JobWarning(
        code="estimate_above_limit",
        message=f"This will likely cost ${usd(estimate['cost_micros']):.2f}, more than its limit of "
        f"${usd(max_cost_micros):.2f}. It pauses when it reaches the limit, and goes on when you raise it.",
    )
