"""From a request and checked data to a plan: the resolved spec, where and how it is done, how long, at what cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from core.base_models import service as base_models
from core.base_models.types import BaseModel
from core.datasets import files
from core.datasets.models import DatasetVersion, File
from core.errors import Invalid
from core.kit.money import priced
from core.training import advice
from core.training.forecast import RunEstimate, forecast
from core.training.hardware import Offer
from core.training.history import Calibration, PastRun, calibrate
from core.training.memory import Memory
from core.training.methods import Method
from core.training.placement import GpuFit, best, fits_on
from core.training.recipes import DatasetStats, Recipe, resolve, shape_of
from core.training.request import AdapterType, RunRequest
from core.training.spec import MAX_LEARNING_RATE, ExecutionPlan, TrainingSpec

# longer than people wait with the page open; then the quick recipe is the better first try
_RECOMMENDED_MAX_S = 2 * 3600


# English text; what JSON or quotes add, the chat template's own tokens about equal
_BYTES_PER_TOKEN = 4
# the split that checking the rows will make
_HELDOUT_SHARE, _MAX_HELDOUT_ROWS = 10, 500
# the longest rows of ordinary data are about this many times the mean
_LONG_ROW = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """One run as it would be done now, on this hardware, at this price."""

    recipe: Recipe
    spec: TrainingSpec
    execution: ExecutionPlan
    memory: Memory
    estimate: RunEstimate
    calibration: Calibration
    fits_on: tuple[GpuFit, ...]
    offer: Offer

    @property
    def hardware(self) -> str:
        return self.offer.hardware

    @property
    def price_micros_per_hour(self) -> int:
        """Of all the devices that it takes."""
        return self.offer.price.micros_per_hour * self.execution.num_processes

    @property
    def cost_micros(self) -> int:
        return priced(self.price_micros_per_hour, self.estimate.work_seconds)

    def dump(self) -> dict[str, Any]:
        """The estimate as it is kept with the run: times, tokens, memory, money, and how the machine does it."""
        return self.estimate.model_dump(mode="json") | {
            "cost_micros": self.cost_micros,
            "cost_micros_low": priced(self.price_micros_per_hour, self.estimate.work_seconds_low),
            "cost_micros_high": priced(self.price_micros_per_hour, self.estimate.work_seconds_high),
            "execution": self.execution.model_dump(mode="json"),
            "memory": self.memory.model_dump(mode="json"),
            "available_memory_bytes": self.offer.machine.memory_bytes,
            "fits_on": [fit.model_dump(mode="json") for fit in self.fits_on],
            "based_on": self.calibration.source,
            "num_past_runs": self.calibration.num_runs,
        }


def execution_of(estimate: dict[str, Any] | None) -> ExecutionPlan:
    """How a run that was planned before is done; of one from an earlier version, as the machine usually does it."""
    return ExecutionPlan.model_validate((estimate or {}).get("execution") or {})


def data_stats(version: DatasetVersion, validation: DatasetVersion | None) -> DatasetStats:
    """What is trained on and what is measured with.

    A validation file takes the place of the held-out rows, which then are trained on too.
    """
    if validation is None:
        return DatasetStats(
            num_train=version.num_train or 0,
            num_heldout=version.num_heldout or 0,
            num_tokens=version.num_tokens or 0,
            max_row_tokens=version.max_row_tokens or 0,
            p99_row_tokens=version.p99_row_tokens or 0,
        )
    return DatasetStats(
        num_train=version.num_rows or 0,
        num_heldout=validation.num_rows or 0,
        num_tokens=(version.num_tokens or 0) + (validation.num_tokens or 0),
        max_row_tokens=max(version.max_row_tokens or 0, validation.max_row_tokens or 0),
        p99_row_tokens=max(version.p99_row_tokens or 0, validation.p99_row_tokens or 0),
    )


def rough_stats(file: File) -> DatasetStats:
    """What a file that nobody has read in full will about come to."""
    num_rows = max(2, files.inspection_of(file).num_rows)
    num_heldout = min(_MAX_HELDOUT_ROWS, max(1, num_rows // _HELDOUT_SHARE))
    num_tokens = max(num_rows, file.num_bytes // _BYTES_PER_TOKEN)
    row_tokens = num_tokens // num_rows
    return DatasetStats(
        num_train=num_rows - num_heldout,
        num_heldout=num_heldout,
        num_tokens=num_tokens,
        max_row_tokens=row_tokens * _LONG_ROW,
        p99_row_tokens=row_tokens * _LONG_ROW,
    )


def plan_run(
    request: RunRequest,
    *,
    recipe: Recipe,
    stats: DatasetStats,
    base: BaseModel,
    seed: int,
    offers: Sequence[Offer],
    past: Sequence[PastRun] = (),
) -> Plan:
    """The plan for the first offer that can hold the run.

    Raises `Invalid` for a knob that this data or model does not allow, and (`does_not_fit`) for a run that no offer can
    hold, with what to change.
    """
    refusal: Invalid | None = None
    for offer in offers:
        try:
            return _plan_on(offer, request, recipe=recipe, stats=stats, base=base, seed=seed, past=past)
        except Invalid as error:
            if error.error_code != "does_not_fit":
                raise
            # what is said is of the best hardware that is here
            refusal = refusal or error
    raise refusal or ValueError("there is no hardware to plan for")


def recommended(plans: Sequence[Plan]) -> Recipe | None:
    """Balanced, unless it takes hours and a quicker one does not; None if none can be done."""
    by_recipe = {plan.recipe: plan for plan in plans}
    balanced = by_recipe.get(Recipe.BALANCED)
    if balanced is not None and (balanced.estimate.seconds <= _RECOMMENDED_MAX_S or Recipe.FAST not in by_recipe):
        return Recipe.BALANCED
    return Recipe.FAST if Recipe.FAST in by_recipe else next(iter(by_recipe), None)


def _plan_on(
    offer: Offer,
    request: RunRequest,
    *,
    recipe: Recipe,
    stats: DatasetStats,
    base: BaseModel,
    seed: int,
    past: Sequence[PastRun],
) -> Plan:
    spec = _resolved(request, recipe, stats, base, offer.hardware, seed)
    methods = _methods(request, spec)
    shape = shape_of(spec, stats)
    bases = {model.id: model for model in base_models.list_base_models()}
    calibration = calibrate(past, spec=spec, base=base, bases=bases, hardware=offer.hardware)
    placed = best(spec, methods, base, offer.machine, shape, memory_factor=calibration.memory)
    if placed is None:
        raise advice.does_not_fit(spec, methods, base, offer.machine, stats)
    spec = spec.model_copy(update={"method": placed.method})
    calibration = calibrate(past, spec=spec, base=base, bases=bases, hardware=offer.hardware)
    estimate = forecast(
        spec,
        stats,
        base,
        execution=placed.execution,
        memory=placed.memory,
        hardware=offer.hardware,
        calibration=calibration,
    )
    return Plan(
        recipe=recipe,
        spec=spec,
        execution=placed.execution,
        memory=placed.memory,
        estimate=estimate,
        calibration=calibration,
        fits_on=tuple(fits_on(spec, methods, base, shape, memory_factor=calibration.memory)),
        offer=offer,
    )


def _resolved(
    request: RunRequest, recipe: Recipe, stats: DatasetStats, base: BaseModel, hardware: str, seed: int
) -> TrainingSpec:
    overrides: dict[str, Any] = request.training_knobs() | {
        "n_epochs": request.n_epochs,
        "batch_size": request.batch_size,
        "learning_rate_multiplier": request.learning_rate_multiplier,
        "seed": seed,
    }
    length = overrides.get("max_length_tokens")
    if length is not None and length > base.context_tokens:
        param = "training.max_length_tokens"
        raise Invalid(
            f"{param} is {length}, and {base.name} reads at most {base.context_tokens} tokens at a time.",
            code="out_of_range",
            param=param,
        )
    try:
        return resolve(
            recipe,
            stats,
            base,
            hardware,
            overrides,
            objective=request.objective,
            method_type="lora" if request.adapter_type is AdapterType.AUTO else request.adapter_type.value,
            adapter=request.adapter_knobs(),
        )
    except ValidationError as error:
        param = f"{request.hyperparameters_path}.learning_rate_multiplier"
        # every other knob was checked by itself; of this one only the product with the recipe's rate can be
        if [item["loc"] for item in error.errors()] != [("learning_rate",)]:
            raise
        raise Invalid(
            f"{param} is {request.learning_rate_multiplier}; with this recipe the learning rate would not lie between "
            f"0 and {MAX_LEARNING_RATE}. Choose one nearer to 1.",
            code="out_of_range",
            param=param,
        ) from error


def _methods(request: RunRequest, spec: TrainingSpec) -> list[Method]:
    """The ways of keeping the base that were left to us, the better one first: whole, then in 4 bits."""
    method = spec.method
    if request.adapter_type is AdapterType.AUTO:
        return [method, _varied(method, {"type": "qlora"})]
    if "quantization" in type(method).model_fields and request.quantization is None and method.type != "qlora":
        return [method, _varied(method, {"quantization": "nf4"})]
    return [method]


def _varied(method: Method, changes: dict[str, Any]) -> Method:
    """The same settings, checked anew."""
    return TrainingSpec.model_validate({"base_model": "any", "method": method.model_dump() | changes}).method
