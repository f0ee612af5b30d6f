"""The first rows of a file under a mapping, while somebody chooses: little is read, by a process of its own."""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sqlalchemy.orm import Session

from core.backends.blobs import BlobStore
from core.datasets import chosen, files, remembered
from core.datasets.formats import registry
from core.datasets.formats.refusals import MAX_RECORD_BYTES
from core.datasets.formats.registry import is_of_lines
from core.datasets.inspection import Portion
from core.datasets.models import ColumnMapping, File
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
    scope = workspace_scope(workspace_id)
    with database.session(scope) as session:
        file = files.get(session, workspace_id=workspace_id, file_id=file_id)
        first = files.inspection_of(file)
        sheet, said = (None, None) if mapping is None else mapping.apart()
        is_first = chosen.is_of_sheet(first, sheet)
        known = _known(session, workspace_id, first) if said is None and is_first else None
    if is_first:
        sheet = first.chosen_sheet
    with _opened(file, blobs, directory) as stream:

        def look(said: Mapping | None) -> Inspection:
            mapping = said if sheet is None else (said or Mapping()).in_sheet(sheet)
            return inspect_apart(stream, file.filename, mapping=mapping, portion=PORTION, directory=directory)

        found = look(said if known is None else Mapping.model_validate(known.mapping))
        if said is None and not is_first:
            with database.session(scope) as session:
                known = _known(session, workspace_id, found)
            if known is not None:
                found = look(Mapping.model_validate(known.mapping))
    return Preview(file, found, None if known is None else known.id)


def of_sheet(
    database: Database,
    blobs: BlobStore,
    *,
    workspace_id: str,
    file_id: str,
    mapping: Mapping,
    directory: Path | None = None,
) -> Inspection | None:
    """What is on the sheet that a mapping says, for who reads the file with it; None where the file's own will do.

    Also of a file that was deleted. Raises `Invalid` for a sheet that is not there, or that holds no examples.
    """
    with database.session(workspace_scope(workspace_id)) as session:
        file = files.get_even_deleted(session, workspace_id=workspace_id, file_id=file_id)
        files.refuse_erased(file)
        first = files.inspection_of(file)
    if chosen.is_of_sheet(first, mapping.sheet):
        return None
    registry.refuse_sheet(mapping.sheet, first.format)
    only = Mapping(sheet=mapping.sheet)
    with _opened(file, blobs, directory) as stream:
        return inspect_apart(stream, file.filename, mapping=only, portion=PORTION, directory=directory)


def _known(session: Session, workspace_id: str, found: Inspection) -> ColumnMapping | None:
    names = [column.name for column in found.columns]
    return remembered.recall(session, workspace_id=workspace_id, columns=names) if names else None


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
