"""The first rows of a file under a mapping, while somebody chooses: fast, whatever the file's size."""

import io
from dataclasses import dataclass

from core.backends.blobs import BlobStore
from core.datasets import files, inspection, remembered
from core.datasets.formats.refusals import MAX_RECORD_BYTES
from core.datasets.inspection import Limits
from core.datasets.models import File
from core.datasets.types import Inspection, Mapping
from core.db.session import Database, workspace_scope

LIMITS = Limits(num_records=5000, num_bytes=4 * 1024 * 1024)
# the last row that begins within the limit is whole, as is the one after it
_READ_BYTES = LIMITS.num_bytes + 2 * MAX_RECORD_BYTES


@dataclass(frozen=True, slots=True)
class Preview:
    file: File
    found: Inspection
    remembered_id: str | None
    """Of the mapping that was used, if it is one that the workspace chose for the same columns before."""


def preview(
    database: Database, blobs: BlobStore, *, workspace_id: str, file_id: str, mapping: Mapping | None = None
) -> Preview:
    """Without a mapping, the one remembered for the file's columns, else the one proposed.

    Raises `Invalid` for a mapping that does not fit, or a file that is not to be learned from.
    """
    with database.session(workspace_scope(workspace_id)) as session:
        file = files.get(session, workspace_id=workspace_id, file_id=file_id)
        first = files.inspection_of(file)
        names = [column.name for column in first.columns]
        known = None
        if mapping is None and names:
            known = remembered.recall(session, workspace_id=workspace_id, columns=names)
    if known is not None:
        mapping = Mapping.model_validate(known.mapping)
    head = blobs.read_bytes(file.object_key, max_bytes=_READ_BYTES)
    found = inspection.inspect(io.BytesIO(head), first.format, mapping=mapping, limits=LIMITS)
    return Preview(file, found, None if known is None else known.id)
