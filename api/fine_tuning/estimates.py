"""What a run would take and cost, and how a machine would do it, on the wire."""

from typing import Any, Literal

from pydantic import Field

from api.schemas import ResponseBody
from core.datasets.health.overlap import Overlap
from core.kit.money import usd
from core.training import leakage
from core.training.hardware import Place
from core.training.method_rules import rank_of
from core.training.methods import PromptTuningMethod, quantization_of
from core.training.planning import Plan, recommended
from core.training.quotes import Check, Quote, Rehearsal
from core.training.spec import TrainingSpec


class MemoryEstimate(ResponseBody):
    """Bytes of one process at the peak, by what they are for; docs/recipes.md has the formula."""

    weights_bytes: int
    trained_bytes: int
    optimizer_bytes: int
    activation_bytes: int
    loss_bytes: int
    scratch_bytes: int
    runtime_bytes: int


class Execution(ResponseBody):
    """How the machine does the run. It decides how fast and in how much memory, not what is learned."""

    micro_batch_tokens: int | None
    gradient_checkpointing: bool
    compile: bool
    num_processes: int
    sharding: Literal["none", "full"]


class GpuFitBody(ResponseBody):
    gpu: str
    memory_bytes: int
    fits: bool
    peak_memory_bytes: int
    method: str
    quantization: str | None


class JobEstimate(ResponseBody):
    seconds: float
    seconds_low: float
    seconds_high: float
    cost_usd: float
    cost_usd_low: float
    cost_usd_high: float
    total_tokens: int
    num_steps: int
    peak_memory_bytes: int = Field(description="Predicted, of each process; `results.peak_memory_bytes` was measured.")
    available_memory_bytes: int | None = Field(description="Of the hardware that was planned for, if it was told.")
    memory: MemoryEstimate | None
    execution: Execution | None
    fits_on: list[GpuFitBody] = Field(description="One GPU of each size that is sold.")
    based_on: Literal["catalogue", "other_runs", "own_runs"] = Field(
        description="What time is predicted from: peaks of the hardware, or what runs here have measured."
    )
    num_past_runs: int


class JobWarning(ResponseBody):
    code: Literal["estimate_above_limit"]
    message: str


class SharedRowBody(ResponseBody):
    number: int = Field(description="Of the row to measure with.")
    training_number: int = Field(description="Of the first row that is learned from and says it too.")
    is_same: bool = Field(description="Word for word; else nearly.")


class LeakageBody(ResponseBody):
    """Rows to measure with that are learned from too: they make the result look better than it is."""

    num_measured: int = Field(description="All rows to measure with.")
    num_same: int = Field(description="Those that are learned from word for word.")
    num_nearly: int = Field(description="Those of which nearly the same is learned.")
    rows: list[SharedRowBody] = Field(description="The first few of them.")
    message: str = Field(description="In plain words.")
    advice: str | None = Field(description="What to do about it.")


class PlannedHyperparameters(ResponseBody):
    n_epochs: int
    batch_size: int
    learning_rate: float
    rank: int | None
    alpha: int | None
    num_virtual_tokens: int | None
    method: str
    quantization: str | None
    objective: str
    max_length_tokens: int
    max_seen_tokens: int | None
    schedule: str
    warmup_ratio: float
    weight_decay: float
    optimizer: str
    eval_every_steps: int | None
    early_stopping_patience: int | None


class RecipeEstimate(JobEstimate):
    recipe: str
    is_recommended: bool
    hyperparameters: PlannedHyperparameters
    hardware: str
    warning: JobWarning | None


class Refusal(ResponseBody):
    """Why something cannot be done, as the error of a create would say it."""

    code: str
    message: str
    param: str | None
    details: dict[str, Any]


class RecipeRefusal(Refusal):
    recipe: str


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
    refusals: list[RecipeRefusal] = Field(description="Recipes that the hardware here cannot do, while others can.")
    price: EstimatePrice
    queue: EstimateQueue


class RehearsedCheck(ResponseBody):
    name: str
    passed: bool
    error: Refusal | None


class DryRun(ResponseBody):
    """What a create with the same body would do. Nothing was made, queued or charged."""

    object: Literal["fine_tuning.job.dry_run"] = "fine_tuning.job.dry_run"
    would_start: bool
    checks: list[RehearsedCheck]
    spec: dict[str, Any] | None = Field(description="The whole resolved specification that the trainer would get.")
    estimate: RecipeEstimate | None
    queue: EstimateQueue | None
    leakage: LeakageBody | None = Field(
        description="What of the rows to measure with is learned from too. Null without such rows of their own; for "
        "more than 20,000 rows, or of files that are not read yet, until the run begins."
    )


def estimate_body(quote: Quote, *, max_cost_micros: int | None = None) -> EstimateBody:
    best = recommended(quote.plans)
    return EstimateBody(
        estimates=[
            _recipe_estimate(plan, is_recommended=plan.recipe is best, max_cost_micros=max_cost_micros)
            for plan in quote.plans
        ],
        refusals=[
            RecipeRefusal(recipe=recipe.value, **_refusal(Check(recipe.value, error)).model_dump())
            for recipe, error in quote.refusals.items()
        ],
        price=EstimatePrice(
            usd_per_hour=usd(quote.price.micros_per_hour), hardware=quote.price.hardware, source=quote.price.source
        ),
        queue=_queue(quote.place),
    )


def dry_run_body(rehearsal: Rehearsal, *, max_cost_micros: int | None = None) -> DryRun:
    plan = rehearsal.plan
    return DryRun(
        would_start=rehearsal.would_start,
        checks=[
            RehearsedCheck(
                name=check.name, passed=check.error is None, error=None if check.error is None else _refusal(check)
            )
            for check in rehearsal.checks
        ],
        spec=plan.spec.model_dump(mode="json") if plan else None,
        estimate=_recipe_estimate(plan, is_recommended=False, max_cost_micros=max_cost_micros) if plan else None,
        queue=_queue(rehearsal.place) if rehearsal.place else None,
        leakage=leakage_body(rehearsal.leakage),
    )


def leakage_body(overlap: Overlap | None) -> LeakageBody | None:
    if overlap is None:
        return None
    return LeakageBody(
        **overlap.model_dump(),
        message=leakage.sentence(overlap),
        advice=leakage.ADVICE if overlap.num_shared else None,
    )


def estimate_of(estimate: dict[str, Any]) -> JobEstimate:
    """Of a run's own record; one that was planned by an earlier version has no breakdown."""
    memory, execution = estimate.get("memory"), estimate.get("execution")
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
        available_memory_bytes=estimate.get("available_memory_bytes"),
        memory=MemoryEstimate.model_validate(memory) if memory else None,
        execution=Execution.model_validate(execution) if execution else None,
        fits_on=[GpuFitBody.model_validate(fit) for fit in estimate.get("fits_on") or []],
        based_on=estimate.get("based_on") or "catalogue",
        num_past_runs=estimate.get("num_past_runs") or 0,
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


def _recipe_estimate(plan: Plan, *, is_recommended: bool, max_cost_micros: int | None) -> RecipeEstimate:
    kept = plan.dump()
    return RecipeEstimate(
        recipe=plan.recipe.value,
        is_recommended=is_recommended,
        hyperparameters=planned_hyperparameters(plan.spec),
        hardware=plan.hardware,
        warning=warning_of(kept, max_cost_micros=max_cost_micros),
        **estimate_of(kept).model_dump(),
    )


def planned_hyperparameters(spec: TrainingSpec) -> PlannedHyperparameters:
    """Every number that was resolved, for a method that has it."""
    method = spec.method
    return PlannedHyperparameters(
        n_epochs=spec.num_epochs,
        batch_size=spec.batch_size,
        learning_rate=spec.learning_rate,
        rank=rank_of(method),
        alpha=getattr(method, "alpha", None),
        num_virtual_tokens=method.num_virtual_tokens if isinstance(method, PromptTuningMethod) else None,
        method=method.type,
        quantization=quantization_of(method),
        objective=spec.objective.type,
        max_length_tokens=spec.max_length_tokens,
        max_seen_tokens=spec.max_seen_tokens,
        schedule=spec.schedule,
        warmup_ratio=spec.warmup_ratio,
        weight_decay=spec.weight_decay,
        optimizer=spec.optimizer,
        eval_every_steps=spec.eval_every_steps,
        early_stopping_patience=spec.early_stopping_patience,
    )


def _queue(place: Place) -> EstimateQueue:
    return EstimateQueue(name=place.queue.value, position=place.outlook.position, starts_in_s=place.outlook.starts_in_s)


def _refusal(check: Check) -> Refusal:
    error = check.error
    if error is None:
        raise ValueError(f"{check.name} was not refused")
    return Refusal(code=error.error_code, message=error.message, param=error.param, details=error.details)
