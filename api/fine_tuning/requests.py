"""What clients send. Shapes only: ranges are checked in core, where the sentence about them is written."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from api.schemas import RequestBody
from core.errors import Invalid
from core.kit.money import MICROS_PER_USD
from core.training.methods import Quantization, TargetModules
from core.training.recipes import Recipe
from core.training.request import (
    AdapterType,
    Auto,
    MethodType,
    Optimizer,
    RunRequest,
    Schedule,
    check_method_type,
)
from core.training.types import RunTerms

MIN_LIMIT_USD, MAX_LIMIT_USD = 0.0001, 1_000_000
# the year 9999, the last that Python can name
_MAX_UNIX_S = 253_402_300_799


class HyperparametersBody(RequestBody):
    n_epochs: Auto | int = Field("auto", description="Times every row is seen, 1-50.")
    batch_size: Auto | int = Field("auto", description="Rows learned from in one step, 1-256.")
    learning_rate_multiplier: Auto | float = Field("auto", description="Scales the recipe's learning rate; above 0.")


class OrpoHyperparametersBody(HyperparametersBody):
    beta: Auto | float = Field("auto", description="Weight of the preference beside the answer itself; above 0, to 10.")


class DpoHyperparametersBody(HyperparametersBody):
    beta: Auto | float = Field("auto", description="How strongly the model is held near its base; above 0, to 10.")
    label_smoothing: Auto | float = Field(
        "auto", description="Our extension: share of pairs believed to be the wrong way round; 0 to below 0.5."
    )


class SupervisedBody(RequestBody):
    hyperparameters: HyperparametersBody | None = None


class DpoBody(RequestBody):
    hyperparameters: DpoHyperparametersBody | None = None


class OrpoBody(RequestBody):
    hyperparameters: OrpoHyperparametersBody | None = None


class MethodBody(RequestBody):
    type: str = Field(
        "supervised",
        description="What is learned from: `supervised` (answers), `dpo` or, our extensions, `orpo` (preferences) or "
        "`continued_pretraining` (plain text).",
    )
    supervised: SupervisedBody | None = None
    dpo: DpoBody | None = None
    orpo: OrpoBody | None = Field(None, description="Our extension: preferences without comparing with the base model.")
    continued_pretraining: SupervisedBody | None = Field(None, description="Our extension: plain text is read on.")
    # accepted by shape so that asking for it gets a sentence about the method, not about a field
    reinforcement: dict[str, Any] | None = None

    def checked_type(self) -> MethodType:
        """Raises `Invalid` for a method that is not available, or settings of another one than `type`."""
        given = [name for name in ("reinforcement", *MethodType) if getattr(self, name) is not None]
        # who sends one method's settings means that method
        wanted = given[0] if len(given) == 1 and "type" not in self.model_fields_set else self.type
        method_type = check_method_type(wanted)
        for name in given:
            if name != method_type:
                raise Invalid(
                    f"method.{name} does not belong to method.type {method_type.value!r}. Leave it out, or change the "
                    "type.",
                    code="setting_does_not_apply",
                    param=f"method.{name}",
                )
        return method_type

    def sent_hyperparameters(self) -> HyperparametersBody | None:
        settings: SupervisedBody | DpoBody | OrpoBody | None = getattr(self, self.checked_type())
        return settings.hyperparameters if settings else None


class AdapterBody(RequestBody):
    """How the base model is changed. Each setting belongs to some methods only; another one's is refused."""

    type: AdapterType = Field(AdapterType.AUTO, description="`auto` is `lora`, or `qlora` where memory asks for it.")
    rank: int | None = Field(None, description="Width of the learned matrices, 1-256; the recipe's when absent.")
    alpha: int | None = Field(None, description="Their scale, 1-1024; twice the rank when absent.")
    dropout: float | None = Field(None, description="Share of the adapter's inputs dropped in training; 0 to below 1.")
    target_modules: TargetModules | None = Field(
        None, description="Which linear layers learn; all of them when absent."
    )
    quantization: Quantization | Literal["none"] | None = Field(
        None, description="Whether the frozen base is kept in 4 bits; the plan decides when absent."
    )
    num_virtual_tokens: int | None = Field(None, description="Of `prompt_tuning`: learned vectors, 1-512.")
    init_text: str | None = Field(None, description="Of `prompt_tuning`: words that the vectors start from.")
    learning_rate_ratio: float | None = Field(None, description="Of `lora_plus`: rate of B over rate of A, 1-64.")
    num_iterations: int | None = Field(None, description="Of `pissa`: of its singular value decomposition, 2-64.")


class TrainingBody(RequestBody):
    """Every number of the training loop; the recipe decides what is absent."""

    learning_rate: float | None = Field(
        None, description="Peak of the schedule, above 0, to 0.1; instead of a multiplier."
    )
    schedule: Schedule | None = Field(None, description="How the rate falls after warm-up.")
    warmup_ratio: float | None = Field(None, description="Share of the steps in which the rate rises; 0 to below 1.")
    weight_decay: float | None = Field(None, description="0-1.")
    max_grad_norm: float | None = Field(None, description="Gradients are scaled down to this norm; above 0, to 100.")
    optimizer: Optimizer | None = Field(None, description="The 8-bit ones need a GPU.")
    max_length_tokens: int | None = Field(None, description="Longer rows lose their end; 8-131072.")
    max_seen_tokens: int | None = Field(None, description="Training ends with the step that reaches this many tokens.")
    eval_every_steps: int | None = Field(None, description="Held-out rows are also measured this often.")
    max_heldout_rows: int | None = Field(None, description="Held-out rows that are measured, 1-5000.")
    early_stopping_patience: int | None = Field(
        None, description="Training ends after so many measurements without a better one."
    )


class _Asked(RequestBody):
    """What both an estimate and a job are asked with."""

    training_file: str | None = Field(None, description="A file id; its rows become a dataset version by themselves.")
    dataset_version_id: str | None = Field(None, description="Our extension: train on this version instead of a file.")
    method: MethodBody | None = None
    adapter: AdapterBody | None = Field(None, description="Our extension: how the base model is changed.")
    training: TrainingBody | None = Field(None, description="Our extension: the numbers of the training loop.")
    hyperparameters: HyperparametersBody | None = Field(None, description="The old place; use `method`.")
    max_cost_usd: float | None = Field(
        None, description="Our extension: the run pauses, its work kept, when it has cost this much."
    )

    def _hyperparameters(self) -> HyperparametersBody:
        sent = self.method.sent_hyperparameters() if self.method else None
        if sent is not None and self.hyperparameters is not None:
            _refuse_contradictions(sent, self.hyperparameters)
        return sent or self.hyperparameters or HyperparametersBody()

    def _knobs(self, recipe: Recipe) -> dict[str, Any]:
        return {
            "training_file": self.training_file,
            "dataset_version_id": self.dataset_version_id,
            "recipe": recipe,
            "method_type": (self.method or MethodBody()).checked_type(),
            **self._hyperparameters().model_dump(),
            **_renamed((self.adapter or AdapterBody()).model_dump()),
            **(self.training or TrainingBody()).model_dump(),
        }


def _refuse_contradictions(sent: HyperparametersBody, old: HyperparametersBody) -> None:
    for name in sorted(old.model_fields_set):
        if getattr(sent, name) != getattr(old, name):
            raise Invalid(
                f"hyperparameters.{name} says something else than the hyperparameters of method. Send one of them; "
                "hyperparameters is the old place.",
                code="settings_do_not_fit",
                param=f"hyperparameters.{name}",
            )


def _renamed(adapter: dict[str, Any]) -> dict[str, Any]:
    """The adapter's settings by their names in `RunRequest`."""
    return {"adapter_type" if name == "type" else name: value for name, value in adapter.items()}


class _Job(_Asked):
    """What a job may be asked with beside its model."""

    recipe: Recipe = Field(Recipe.BALANCED, description="Our extension: chooses the knobs that nobody set.")
    validation_file: str | None = None
    validation_dataset_version_id: str | None = Field(
        None, description="Our extension: what to measure with, as it was changed on the page; or validation_file."
    )
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
            validation_dataset_version_id=self.validation_dataset_version_id,
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
        changes = {name: getattr(self, name) for name in self.model_fields_set & _PLAIN_FIELDS}
        if self.model is not None:
            changes["model"] = self.model
        # the data is named in one way or the other
        for one, another in _TWO_WAYS:
            for named, other in ((one, another), (another, one)):
                if changes.get(named) is not None:
                    changes.setdefault(other, None)
        if "method" in self.model_fields_set:
            changes["method_type"] = (self.method or MethodBody()).checked_type()
        changes |= self._hyperparameters().model_dump(exclude_unset=True)
        # null takes all of its settings back
        adapter = AdapterBody().model_dump() if self.adapter is None else self.adapter.model_dump(exclude_unset=True)
        training = (
            TrainingBody().model_dump() if self.training is None else self.training.model_dump(exclude_unset=True)
        )
        if "adapter" in self.model_fields_set:
            changes |= _renamed(adapter)
        if "training" in self.model_fields_set:
            changes |= training
        return changes

    def to_terms_changes(self) -> dict[str, Any]:
        return _terms_changes(self)


class PatchJobBody(RequestBody):
    """Only what is sent is changed. `start_after` and `max_cost_usd` may be taken back with `null`."""

    name: str | None = Field(None, description="What people call the run; its model too, while it has none.")
    priority: int = Field(0, description="The workspace's jobs with more go first; -100 to 100.")
    start_after: int | None = Field(None, description="Unix seconds; it waits at least until then.")
    max_cost_usd: float | None = Field(None, description="The run pauses when it has cost this much.")

    def to_changes(self) -> dict[str, Any]:
        return _terms_changes(self) | ({"name": self.name} if "name" in self.model_fields_set else {})


class MoveJobBody(RequestBody):
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


_TWO_WAYS = (("training_file", "dataset_version_id"), ("validation_file", "validation_dataset_version_id"))
_PLAIN_FIELDS = frozenset(
    {*(name for pair in _TWO_WAYS for name in pair), "recipe", "suffix", "name", "seed", "metadata"}
)


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
