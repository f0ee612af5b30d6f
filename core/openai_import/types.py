"""What is imported: an account's files and jobs as OpenAI's client returned them, and what becomes of each here."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from core.datasets.types import RowKind

PURPOSE = "fine-tune"
# the metadata by which an imported job is found again
JOB_KEY = "openai_job_id"
MODEL_KEY = "openai_fine_tuned_model"

# ids become names on disk: no dot, no slash, nothing that a shell or a terminal reads
ExportedId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]
_Short = Annotated[str, Field(max_length=512)]


class _Exported(BaseModel):
    """Fields that are not needed are overlooked: OpenAI adds new ones."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ExportedFile(_Exported):
    id: ExportedId
    filename: _Short = ""
    purpose: _Short = PURPOSE


class Hyperparameters(_Exported):
    n_epochs: Literal["auto"] | int | None = None
    batch_size: Literal["auto"] | int | None = None
    learning_rate_multiplier: Literal["auto"] | FiniteFloat | None = None
    beta: Literal["auto"] | FiniteFloat | None = None


class MethodSettings(_Exported):
    hyperparameters: Hyperparameters | None = None


class ExportedMethod(_Exported):
    type: _Short = "supervised"
    supervised: MethodSettings | None = None
    dpo: MethodSettings | None = None


class ExportedJob(_Exported):
    id: ExportedId
    model: _Short
    training_file: ExportedId
    validation_file: ExportedId | None = None
    status: _Short = "succeeded"
    created_at: int = 0
    fine_tuned_model: _Short | None = None
    user_provided_suffix: _Short | None = None
    seed: int | None = None
    metadata: dict[str, str] | None = None
    integrations: list[Any] | None = None
    method: ExportedMethod | None = None
    # where they stood before there were methods
    hyperparameters: Hyperparameters | None = None

    @property
    def method_type(self) -> str:
        return self.method.type if self.method else "supervised"

    @property
    def suffix(self) -> str | None:
        """Also of jobs that do not carry it: `ft:MODEL:ORGANISATION:SUFFIX:ID`."""
        if self.user_provided_suffix:
            return self.user_provided_suffix
        parts = (self.fine_tuned_model or "").split(":")
        return (parts[3] or None) if len(parts) == 5 and parts[0] == "ft" else None  # noqa: PLR2004 - as above

    @property
    def sent_hyperparameters(self) -> dict[str, Any]:
        """Those of its method, as OpenAI settled them; `auto` where it did not say."""
        settings = getattr(self.method, self.method_type, None) if self.method else None
        found = (settings.hyperparameters if settings else None) or self.hyperparameters or Hyperparameters()
        wanted = found.model_dump(exclude_none=True)
        if self.method_type != "dpo":
            wanted.pop("beta", None)
        return wanted


class State(StrEnum):
    """What becomes of one file or job; the words are those that people read."""

    NEW = "new"
    MADE = "made"
    HERE = "already here"
    LEFT_OUT = "left out"
    IMPOSSIBLE = "cannot be"
    FAILED = "failed"


@dataclass(slots=True)
class FileStep:
    file: ExportedFile
    state: State = State.NEW
    reason: str = ""
    # its id here
    made_id: str | None = None
    # what it is called here
    filename: str = ""
    num_bytes: int = 0
    sha256: str = ""
    kind: RowKind | None = None


@dataclass(slots=True)
class JobStep:
    job: ExportedJob
    state: State = State.NEW
    reason: str = ""
    # its id here, its base model here, and the model that came of it here
    made_id: str | None = None
    model: str | None = None
    fine_tuned_model: str | None = None
    # what could not be carried over word for word
    notes: list[str] = field(default_factory=list)
    # its last losses at OpenAI, where the export has its events
    openai_losses: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Files come before the jobs that learn from them."""

    files: list[FileStep]
    jobs: list[JobStep]

    @property
    def steps(self) -> list[FileStep | JobStep]:
        return [*self.files, *self.jobs]

    def count(self, *states: State) -> int:
        return sum(step.state in states for step in self.steps)
