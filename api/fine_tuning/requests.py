"""What clients send. Shapes only: ranges are checked in core, where the sentence about them is written."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.errors import Invalid
from core.kit.money import MICROS_PER_USD
from core.training.recipes import Recipe
from core.training.request import AdapterType, RunRequest, check_method_type
from core.training.types import RunTerms

Auto = Literal["auto"]

MIN_LIMIT_USD, MAX_LIMIT_USD = 0.0001, 1_000_000
# the year 9999, the last that Python can name
_MAX_UNIX_S = 253_402_300_799


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class HyperparametersBody(_Body):
    n_epochs: Auto | int = Field("auto", description="Times every row is seen, 1-50.")
    batch_size: Auto | int = Field("auto", description="Rows learned from in one step, 1-256.")
    learning_rate_multiplier: Auto | float = Field("auto", description="Scales the recipe's learning rate; above 0.")


class SupervisedBody(_Body):
    hyperparameters: HyperparametersBody | None = None


class MethodBody(_Body):
    type: str = Field("supervised", description="`supervised` is the only one so far.")
    supervised: SupervisedBody | None = None
    # accepted by shape so that asking for them gets a sentence about the method, not about a field
    dpo: dict[str, Any] | None = None
    reinforcement: dict[str, Any] | None = None


class AdapterBody(_Body):
    type: AdapterType = Field(AdapterType.AUTO, description="`auto` is `qlora`: the base model in 4 bits.")
    rank: int | None = Field(None, description="Width of the adapter, 1-256; the recipe's when absent.")


class _Asked(_Body):
    """What both an estimate and a job are asked with."""

    training_file: str | None = Field(None, description="A file id; its rows become a dataset version by themselves.")
    dataset_version_id: str | None = Field(None, description="Our extension: train on this version instead of a file.")
    method: MethodBody | None = None
    adapter: AdapterBody | None = Field(None, description="Our extension: how the adapter is made.")
    hyperparameters: HyperparametersBody | None = Field(None, description="The old place; use `method`.")
    max_cost_usd: float | None = Field(
        None, description="Our extension: the run pauses, its work kept, when it has cost this much."
    )

    def _hyperparameters(self) -> HyperparametersBody:
        method = self.method or MethodBody()
        check_method_type(method.type)
        nested = method.supervised.hyperparameters if method.supervised else None
        return nested or self.hyperparameters or HyperparametersBody()

    def _knobs(self, recipe: Recipe) -> dict[str, Any]:
        adapter = self.adapter or AdapterBody()
        return self._hyperparameters().model_dump() | {
            "training_file": self.training_file,
            "dataset_version_id": self.dataset_version_id,
            "recipe": recipe,
            "adapter_type": adapter.type,
            "rank": adapter.rank,
        }


class _Job(_Asked):
    """What a job may be asked with beside its model."""

    recipe: Recipe = Field(Recipe.BALANCED, description="Our extension: chooses the knobs that nobody set.")
    validation_file: str | None = None
    suffix: str | None = Field(None, description="Part of the tuned model's id, 1-64 characters.")
    name: str | None = Field(None, description="Our extension: what people call the run and its model.")
    seed: int | None = None
    metadata: dict[str, str] | None = None
    integrations: list[dict[str, Any]] | None = None
    priority: int = Field(0, description="Our extension: the workspace's jobs with more go first; -100 to 100.")
    start_after: int | None = Field(None, description="Our extension: Unix seconds; it waits at least until then.")

    def _refuse_integrations(self) -> None:
        if self.integrations:
            raise Invalid(
                "Integrations are not available: follow the run by its events, metrics or stream instead.",
                code="unsupported_parameter",
                param="integrations",
            )


class CreateJobBody(_Job):
    model: str

    def to_run_request(self) -> RunRequest:
        self._refuse_integrations()
        return RunRequest(
            model=self.model,
            validation_file=self.validation_file,
            suffix=self.suffix,
            name=self.name,
            seed=self.seed,
            metadata=self.metadata,
            **self._knobs(self.recipe),
        )

    def to_terms(self) -> RunTerms:
        return RunTerms(
            priority=self.priority,
            start_after=_moment(self.start_after),
            max_cost_micros=_micros(self.max_cost_usd),
        )


class CloneJobBody(_Job):
    """Only what is sent is changed; `null` takes a field back to its default."""

    model: str | None = Field(None, description="Another base model.")

    def to_changes(self) -> dict[str, Any]:
        """The fields of the request that were sent."""
        self._refuse_integrations()
        asked, adapter = self._hyperparameters(), self.adapter or AdapterBody()
        changes = {name: getattr(self, name) for name in self.model_fields_set & _PLAIN_FIELDS}
        if self.model is not None:
            changes["model"] = self.model
        # the data is named in one way or the other
        for named, other in (("training_file", "dataset_version_id"), ("dataset_version_id", "training_file")):
            if changes.get(named) is not None:
                changes.setdefault(other, None)
        changes |= asked.model_dump(include=asked.model_fields_set)
        changes |= {_ADAPTER_FIELDS[name]: getattr(adapter, name) for name in adapter.model_fields_set}
        return changes

    def to_terms_changes(self) -> dict[str, Any]:
        return _terms_changes(self)


class PatchJobBody(_Body):
    """Only what is sent is changed. `start_after` and `max_cost_usd` may be taken back with `null`."""

    name: str | None = Field(None, description="What people call the run; its model too, while it has none.")
    priority: int = Field(0, description="The workspace's jobs with more go first; -100 to 100.")
    start_after: int | None = Field(None, description="Unix seconds; it waits at least until then.")
    max_cost_usd: float | None = Field(None, description="The run pauses when it has cost this much.")

    def to_changes(self) -> dict[str, Any]:
        return _terms_changes(self) | ({"name": self.name} if "name" in self.model_fields_set else {})


class MoveJobBody(_Body):
    """One of the two: an end of the queue, or another waiting job of this workspace."""

    to: Literal["front", "back"] | None = None
    before: str | None = Field(None, description="The id of the job to go before.")


class EstimateRequest(_Asked):
    model: str | None = Field(None, description="The default base model when absent.")
    recipe: Recipe | None = Field(None, description="One recipe only; all of them when absent.")

    def to_run_request(self, *, default_model: str) -> RunRequest:
        return RunRequest(model=self.model or default_model, **self._knobs(self.recipe or Recipe.BALANCED))

    @property
    def max_cost_micros(self) -> int | None:
        return _micros(self.max_cost_usd)


_PLAIN_FIELDS = frozenset(
    {"training_file", "dataset_version_id", "recipe", "validation_file", "suffix", "name", "seed", "metadata"}
)
_ADAPTER_FIELDS = {"type": "adapter_type", "rank": "rank"}


def _terms_changes(body: CloneJobBody | PatchJobBody) -> dict[str, Any]:
    """The sent ones of priority, start and limit, as `RunTerms` has them."""
    sent: dict[str, Any] = {}
    if "priority" in body.model_fields_set:
        sent["priority"] = body.priority
    if "start_after" in body.model_fields_set:
        sent["start_after"] = _moment(body.start_after)
    if "max_cost_usd" in body.model_fields_set:
        sent["max_cost_micros"] = _micros(body.max_cost_usd)
    return sent


def _moment(seconds: int | None) -> datetime | None:
    if seconds is None:
        return None
    if not 0 <= seconds <= _MAX_UNIX_S:
        raise Invalid("start_after is a time in Unix seconds.", code="out_of_range", param="start_after")
    return datetime.fromtimestamp(seconds, tz=UTC)


def _micros(dollars: float | None) -> int | None:
    if dollars is None:
        return None
    if not MIN_LIMIT_USD <= dollars <= MAX_LIMIT_USD:
        raise Invalid(
            f"max_cost_usd must be between {MIN_LIMIT_USD} and {MAX_LIMIT_USD:,}.",
            code="out_of_range",
            param="max_cost_usd",
        )
    return round(dollars * MICROS_PER_USD)
