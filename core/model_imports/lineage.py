"""Where an imported model comes from, as its `Adapter.lineage` keeps it."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class BaseEvidence(StrEnum):
    """How it is known on which base model it was trained; that its shapes fit is checked in any case."""

    MANIFEST = "manifest"
    """The manifest of the export that it came in has the digests of our base."""
    CONFIRMED = "confirmed"
    """Somebody said so."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceFile(_Value):
    """A file of the workspace that it was made of."""

    file_id: str
    filename: str
    sha256: str
    num_bytes: int


class ExportOrigin(_Value):
    """What the manifest of an export says of the model. It is that installation's word."""

    export_id: str | None = Field(description="As the installation that packed it calls the export.")
    model_id: str | None = Field(description="As the installation that packed it called the model.")
    made_at: str | None


class ImportLineage(_Value):
    import_id: str
    imported_at: datetime
    imported_by: str = Field(description="The name of whoever brought it, as it was then.")
    files: list[SourceFile]
    config_sha256: str = Field(description="Of the configuration as it was brought.")
    weights_sha256: str = Field(description="Of the weights as they were brought.")
    base_evidence: BaseEvidence
    named_base: str | None = Field(description="The base that its configuration names: somebody else's word.")
    export: ExportOrigin | None = None
