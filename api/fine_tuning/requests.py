"""What clients send. Shapes only: ranges are checked in core, where the sentence about them is written."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.errors import Invalid
from core.training.recipes import Recipe
from core.training.request import AdapterType, RunRequest, check_method_type

Auto = Literal["auto"]


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

    def _knobs(self, recipe: Recipe) -> dict[str, Any]:
        method = self.method or MethodBody()
        check_method_type(method.type)
        nested = method.supervised.hyperparameters if method.supervised else None
        asked = nested or self.hyperparameters or HyperparametersBody()
        adapter = self.adapter or AdapterBody()
        return asked.model_dump() | {
            "training_file": self.training_file,
            "dataset_version_id": self.dataset_version_id,
            "recipe": recipe,
            "adapter_type": adapter.type,
            "rank": adapter.rank,
        }


class CreateJobBody(_Asked):
    model: str
    recipe: Recipe = Field(Recipe.BALANCED, description="Our extension: chooses the knobs that nobody set.")
    validation_file: str | None = None
    suffix: str | None = Field(None, description="Part of the tuned model's id, 1-64 characters.")
    name: str | None = Field(None, description="Our extension: what people call the run and its model.")
    seed: int | None = None
    metadata: dict[str, str] | None = None
    integrations: list[dict[str, Any]] | None = None

    def to_run_request(self) -> RunRequest:
        if self.integrations:
            raise Invalid(
                "Integrations are not available: follow the run by its events, metrics or stream instead.",
                code="unsupported_parameter",
                param="integrations",
            )
        return RunRequest(
            model=self.model,
            validation_file=self.validation_file,
            suffix=self.suffix,
            name=self.name,
            seed=self.seed,
            metadata=self.metadata,
            **self._knobs(self.recipe),
        )


class EstimateRequest(_Asked):
    model: str | None = Field(None, description="The default base model when absent.")
    recipe: Recipe | None = Field(None, description="One recipe only; all of them when absent.")

    def to_run_request(self, *, default_model: str) -> RunRequest:
        return RunRequest(model=self.model or default_model, **self._knobs(self.recipe or Recipe.BALANCED))
