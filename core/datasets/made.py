"""Datasets of what the workspace keeps elsewhere: written as a file, and read as if somebody had uploaded it."""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.backends.blobs import BlobStore
from core.backends.queue import TaskQueue
from core.config import Settings
from core.datasets import service as datasets
from core.datasets.formats.refusals import MIN_ROWS
from core.datasets.incoming import IncomingFile
from core.datasets.purposes import Purpose
from core.datasets.service import DatasetDetails
from core.errors import Conflict
from core.workspaces.principal import Principal


@dataclass(frozen=True, slots=True)
class Made:
    details: DatasetDetails
    num_rows: int


def make(
    session: Session,
    *,
    principal: Principal,
    filename: str,
    name: str,
    lines: Iterable[bytes],
    settings: Settings,
    blobs: BlobStore,
    queue: TaskQueue | None,
    too_few: Callable[[int, int], Conflict],
) -> Made:
    """A dataset of lines of JSON, in the session's transaction. Raises what an upload of them would.

    Of fewer lines than a model needs it raises what `too_few` says of how many there are and how many it takes.
    """
    incoming = IncomingFile(
        filename=filename,
        purpose=Purpose.FINE_TUNE,
        directory=settings.uploads_dir,
        max_bytes=settings.max_upload_bytes,
    )
    with contextlib.closing(incoming):
        num_rows = 0
        for line in lines:
            incoming.feed(line)
            num_rows += 1
        if num_rows < MIN_ROWS:
            raise too_few(num_rows, MIN_ROWS)
        file = incoming.enter(session, principal=principal, blobs=blobs, max_stored_bytes=settings.max_workspace_bytes)
    details = datasets.create(session, principal=principal, file_id=file.id, name=name, queue=queue)
    return Made(details, num_rows)
