"""What a search for a person found, and what was done about it. Nothing here holds a word of what was searched for."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class ErasureStatus(StrEnum):
    FOUND = "found"
    """Searched for and shown; nothing is removed yet."""
    ERASING = "erasing"
    FAILED = "failed"
    """Some of it may be removed. Confirmed again, it goes on."""
    ERASED = "erased"


class ByHandKind(StrEnum):
    """What a person must look at, for it cannot be removed without deciding something."""

    DATASET_NAME = "dataset_name"
    PROMPT_PROFILE = "prompt_profile"
    ALIAS_NAME = "alias_name"
    """A stable name that traffic asks for."""
    MODEL_ID = "model_id"
    """The id of a model that was made with such a suffix or name. Another is made anew, and this one deleted."""
    WEBHOOK_ADDRESS = "webhook_address"
    INVITATION = "invitation"
    """Open, and for such an address."""
    WORKSPACE_NAME = "workspace_name"
    IMPORTED_MODEL = "imported_model"
    """Made elsewhere: what it learned from is not known here, so nobody can tell whether the person was in it."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FoundVersion(_Value):
    """A version that holds matching rows; with none it holds the words in what is told about it."""

    version_id: str
    number: int
    num_rows: int
    is_done: bool = Field(False, description="Written anew without them.")


class FoundDataset(_Value):
    dataset_id: str
    versions: list[FoundVersion]


class FoundFile(_Value):
    file_id: str
    is_deleted: bool = Field(description="Deleted or expired before, though its bytes were still kept.")


class FoundModel(_Value):
    """A model that learned from a version with such a row, or was measured with one. Its weights are not changed."""

    model_id: str
    name: str | None
    run_id: str
    is_deleted: bool


class ByHand(_Value):
    kind: ByHandKind
    id: str


class RowPlace(_Value):
    """Where a row can be looked at."""

    version_id: str
    number: int


class Found(_Value):
    num_rows: int = Field(description="Rows as they are stored: of one that was edited, each form counts.")
    num_rows_erased: int = 0
    datasets: list[FoundDataset]
    files: list[FoundFile]
    models: list[FoundModel]
    num_completions: int
    num_shadow_answers: int
    num_preferences: int = 0
    num_drafts: int
    num_grounds: int = 0
    num_runs: int = 0
    num_model_names: int = 0
    num_uploads: int = 0
    num_notes: int = 0
    num_job_texts: int = 0
    num_webhook_answers: int = 0
    num_access_names: int = 0
    by_hand: list[ByHand]
    examples: list[RowPlace]

    @property
    def version_ids(self) -> list[str]:
        return [version.version_id for dataset in self.datasets for version in dataset.versions]

    @property
    def counts(self) -> dict[str, int]:
        """Of all that is no row, by name."""
        return {name: getattr(self, name) for name in COUNTS}


COUNTS = tuple(
    name for name in Found.model_fields if name.startswith("num_") and name not in {"num_rows", "num_rows_erased"}
)
