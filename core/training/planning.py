"""From a request and checked data to a plan: the resolved spec, how long it takes, and what that costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from pydantic import ValidationError

from core.base_models.types import BaseModel
from core.datasets.models import DatasetVersion, File
from core.errors import Invalid
from core.kit.money import priced
from core.training.methods import LoraMethod, QloraMethod
from core.training.recipes import (
    BaseModelInfo,
    DatasetStats,
    Recipe,
    RunEstimate,
    default_throughput,
    estimate,
    resolve,
)
from core.training.request import AdapterType, RunRequest
from core.training.spec import MAX_LEARNING_RATE, TrainingSpec

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
    estimate: RunEstimate
    hardware: str
    price_micros_per_hour: int

    @property
    def cost_micros(self) -> int:
        return priced(self.price_micros_per_hour, self.estimate.seconds)

    def dump(self) -> dict[str, Any]:
        """The estimate as it is kept with the run: times, tokens, memory and money."""
        costs = {
            "cost_micros": self.cost_micros,
            "cost_micros_low": priced(self.price_micros_per_hour, self.estimate.seconds_low),
            "cost_micros_high": priced(self.price_micros_per_hour, self.estimate.seconds_high),
        }
        return self.estimate.model_dump(mode="json") | costs


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
    num_rows = max(2, int(file.inspection.get("num_rows") or 0))
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


def throughput(base: BaseModel, measured: Sequence[dict[str, Any]], *, hardware: str) -> float:
    """Tokens a second: the median of what the last runs here reached, else the table's value."""
    speeds = [float(result["tokens_per_second"]) for result in measured if result.get("tokens_per_second")]
    return median(speeds) if speeds else default_throughput(_info(base), hardware=hardware)


def plan_run(
    request: RunRequest,
    *,
    recipe: Recipe,
    stats: DatasetStats,
    base: BaseModel,
    seed: int,
    tokens_per_s: float,
    hardware: str,
    price_micros_per_hour: int,
) -> Plan:
    """Raises `Invalid` for a knob that this data or model does not allow."""
    overrides: dict[str, Any] = {
        "n_epochs": request.n_epochs,
        "batch_size": request.batch_size,
        "learning_rate_multiplier": request.learning_rate_multiplier,
        "seed": seed,
    }
    spec = _resolved(recipe, stats, base, hardware, overrides)
    spec = spec.model_copy(update={"method": _method(request, spec)})
    return Plan(
        recipe=recipe,
        spec=spec,
        estimate=estimate(spec, stats, _info(base), tokens_per_s, hardware=hardware),
        hardware=hardware,
        price_micros_per_hour=price_micros_per_hour,
    )


def recommended(plans: Sequence[Plan]) -> Recipe:
    """Balanced, unless it takes hours and a quicker one does not."""
    by_recipe = {plan.recipe: plan for plan in plans}
    balanced = by_recipe.get(Recipe.BALANCED)
    if balanced is not None and (balanced.estimate.seconds <= _RECOMMENDED_MAX_S or Recipe.FAST not in by_recipe):
        return Recipe.BALANCED
    return Recipe.FAST if Recipe.FAST in by_recipe else plans[0].recipe


def _resolved(
    recipe: Recipe, stats: DatasetStats, base: BaseModel, hardware: str, overrides: dict[str, Any]
) -> TrainingSpec:
    try:
        return resolve(recipe, stats, _info(base), hardware=hardware, overrides=overrides)
    except ValidationError as error:
        param = "method.supervised.hyperparameters.learning_rate_multiplier"
        # every other knob was checked by itself; of this one only the product with the recipe's rate can be
        if [item["loc"] for item in error.errors()] != [("learning_rate",)]:
            raise
        raise Invalid(
            f"{param} is {overrides['learning_rate_multiplier']}; with this recipe the learning rate would not lie "
            f"between 0 and {MAX_LEARNING_RATE}. Choose one nearer to 1.",
            code="out_of_range",
            param=param,
        ) from error


def _method(request: RunRequest, spec: TrainingSpec) -> LoraMethod | QloraMethod:
    rank = request.rank or spec.method.rank
    # alpha grows with the rank, so that the learned part keeps its weight
    alpha = min(2 * rank, 1024)
    if request.resolved_adapter_type is AdapterType.LORA:
        return LoraMethod(rank=rank, alpha=alpha, dropout=spec.method.dropout)
    return QloraMethod(rank=rank, alpha=alpha, dropout=spec.method.dropout)


def _info(base: BaseModel) -> BaseModelInfo:
    return BaseModelInfo(
        id=base.id,
        num_parameters=base.num_parameters,
        context_tokens=base.context_tokens,
        num_layers=base.num_layers,
        hidden_size=base.hidden_size,
    )
