"""The first rows of a file under a mapping, while somebody chooses: little is read, by a process of its own."""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from core.backends.blobs import BlobStore
from core.datasets import files, remembered
from core.datasets.formats.refusals import MAX_RECORD_BYTES
from core.datasets.formats.registry import is_of_lines
from core.datasets.inspection import Portion
from core.datasets.models import File
from core.datasets.reading.service import inspect_apart
from core.datasets.types import Inspection, Mapping
from core.db.session import Database, workspace_scope

PORTION = Portion(num_records=5000, num_bytes=4 * 1024 * 1024)
# the last row that begins within the portion is whole, as is the one after it
_READ_BYTES = PORTION.num_bytes + 2 * MAX_RECORD_BYTES


@dataclass(frozen=True, slots=True)
class Preview:
    file: File
    found: Inspection
    remembered_id: str | None
    """Of the mapping that was used, if it is one that the workspace chose for the same columns before."""


def preview(
    database: Database,
    blobs: BlobStore,
    *,
    workspace_id: str,
    file_id: str,
    mapping: Mapping | None = None,
    directory: Path | None = None,
) -> Preview:
    """Without a mapping, the one remembered for the file's columns, else the one proposed.

    `directory` is where a copy may lie meanwhile. Raises `Invalid` for a mapping that does not fit, or a file that is
    not to be learned from.
    """
    with database.session(workspace_scope(workspace_id)) as session:
        file = files.get(session, workspace_id=workspace_id, file_id=file_id)
        names = [column.name for column in files.inspection_of(file).columns]
        known = None
        if mapping is None and names:
            known = remembered.recall(session, workspace_id=workspace_id, columns=names)
    if known is not None:
        mapping = Mapping.model_validate(known.mapping)
    with _opened(file, blobs, directory) as stream:
        found = inspect_apart(stream, file.filename, mapping=mapping, portion=PORTION, directory=directory)
    return Preview(file, found, None if known is None else known.id)


@contextmanager
def _opened(file: File, blobs: BlobStore, directory: Path | None) -> Iterator[BinaryIO]:
    """Of lines the beginning; what can only be read as a whole, such as a workbook, as a whole."""
    if is_of_lines(file.filename):
        yield io.BytesIO(blobs.read_bytes(file.object_key, max_bytes=_READ_BYTES))
        return
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory) as copy:
        for chunk in blobs.read_chunks(file.object_key):
            copy.write(chunk)
        copy.flush()
        yield copy
