"""The data sets that come with the product, for whoever has none at hand."""

import contextlib
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from core.backends.blobs import BlobStore
from core.config import Settings
from core.datasets.incoming import IncomingFile
from core.datasets.models import File
from core.datasets.purposes import Purpose
from core.db.session import Database
from core.errors import NotFound
from core.workspaces.principal import Principal

_DIRECTORY = Path(__file__).parents[2] / "deploy" / "samples"


class Sample(BaseModel):
    """An entry of `deploy/samples/samples.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    file: str
    name: str
    description: str
    license: str
    source: str
    num_rows: int


@cache
def list_samples() -> tuple[Sample, ...]:
    return tuple(TypeAdapter(list[Sample]).validate_json((_DIRECTORY / "samples.json").read_bytes()))


def copy(sample_id: str, *, principal: Principal, settings: Settings, database: Database, blobs: BlobStore) -> File:
    """Put a sample among the workspace's files, just as if it had been uploaded."""
    sample = next((sample for sample in list_samples() if sample.id == sample_id), None)
    if sample is None:
        known = ", ".join(sample.id for sample in list_samples())
        raise NotFound(f"There is no sample {sample_id!r}. Choose one of: {known}.", code="sample_not_found")
    incoming = IncomingFile(
        filename=sample.file,
        purpose=Purpose.FINE_TUNE,
        directory=settings.uploads_dir,
        max_bytes=settings.max_upload_bytes,
    )
    with contextlib.closing(incoming):
        incoming.feed((_DIRECTORY / sample.file).read_bytes())
        return incoming.finish(
            principal=principal,
            database=database,
            blobs=blobs,
            max_stored_bytes=settings.max_workspace_bytes,
        )
