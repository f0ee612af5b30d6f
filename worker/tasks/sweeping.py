"""Removes what nobody needs: objects that no row names, uploads that nobody ends, files that expired, old folders.

Nothing of it is wrong, only in the way: what is published or continued from is named in the database, and that is not
touched. Kept answers go too when their time is over, and rows of versions that failed. Runs in a thread, because object
stores that do not answer keep it for minutes.
"""

import logging
import re
import shutil
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from core.backends.blobs import BlobStore
from core.datasets import files, ingest
from core.datasets.uploads import service as uploads
from core.db.session import SYSTEM, Database
from core.errors import Unavailable
from core.exports import execution as exports
from core.model_imports import execution as model_imports
from core.serving.aliases import service as aliases
from core.serving.completions import service as completions
from core.serving.traffic import service as traffic
from core.training.checkpoints import service as checkpoints
from worker.tasks import run_folder

logger = logging.getLogger(__name__)

_EVERY_S = 300.0
# of uploads of any kind, by when even a slow one of the largest file is over
_OLD_UPLOAD_S = 24 * 3600
_FAILED_UPLOAD_S = 3600
# uploads outlive their job by minutes
_LATELY_S, _LONG_AGO_S = 3600.0, 24 * 3600.0
_OF_ATTEMPT = re.compile(r"(?:checkpoints/)?a(\d+)/")


class Sweeper:
    """Sweeps every few minutes, if told often enough that it may."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        runs_dir: Path,
        *,
        completions_days: int = 0,
        every_s: float = _EVERY_S,
    ) -> None:
        self._database, self._blobs, self._runs_dir, self._every_s = database, blobs, runs_dir, every_s
        self._completions_days = completions_days
        self._begun_at: float | None = None
        self._thread: threading.Thread | None = None

    def tick(self, *, is_leading: bool) -> None:
        """Sweep this machine's folders, and, where `is_leading`, the object store of all. Returns at once."""
        now = time.monotonic()
        is_due = self._begun_at is None or now - self._begun_at >= self._every_s
        if not is_due or (self._thread is not None and self._thread.is_alive()):
            return
        # who looks for the first time may be the first to look for long
        since_s = _LONG_AGO_S if self._begun_at is None else _LATELY_S
        self._begun_at = now
        self._thread = threading.Thread(target=self._sweep, args=(is_leading, since_s), name="sweep", daemon=True)
        self._thread.start()

    def _sweep(self, is_leading: bool, since_s: float) -> None:  # noqa: FBT001 - a thread's target
        try:
            sweep_folders(self._database, self._runs_dir)
            if is_leading:
                sweep_completions(self._database, older_than_days=self._completions_days)
                sweep_objects(self._database, self._blobs, since_s=since_s)
                sweep_files(self._database, self._blobs)
                sweep_exports(self._database, self._blobs)
                sweep_imports(self._database, self._blobs)
                sweep_rows(self._database)
        except (SQLAlchemyError, Unavailable, OSError) as error:
            logger.warning("sweeping failed; the next round tries again: %s", error)


def sweep_completions(database: Database, *, older_than_days: int) -> int:
    """Delete the answers kept for longer than this, and shadows'; 0 days keep them for ever. How many that were.

    What was logged goes when its workspace says so, and the figures of questions when no page shows them any more.
    """
    num_removed = 0
    while True:
        with database.session(SYSTEM) as session:
            removed = completions.sweep(session, older_than_days=older_than_days)
            if older_than_days:
                removed += aliases.sweep(session, older_than_days=older_than_days)
            removed += traffic.sweep(session)
        num_removed += removed
        if not removed:
            return num_removed


def sweep_objects(database: Database, blobs: BlobStore, *, since_s: float = _LATELY_S) -> int:
    """Remove what runs that ended lately left in the object store; how many objects and uploads that were."""
    with database.session(SYSTEM) as session:
        ended = checkpoints.sweep(session, since_s=since_s)
    num_removed = blobs.abort_stale_uploads(older_than_s=_OLD_UPLOAD_S)
    for run in ended:
        prefix = checkpoints.run_prefix(run.workspace_id, run.run_id)
        # a failed run may be taken up again this very moment
        num_removed += blobs.abort_stale_uploads(prefix, older_than_s=0 if run.is_done else _FAILED_UPLOAD_S)
        num_removed += sweep_run(blobs, prefix, kept=run.kept_prefixes, up_to_attempt=run.last_attempt)
    if num_removed:
        logger.info("swept %d objects and uploads that nobody needs", num_removed)
    return num_removed


def sweep_files(database: Database, blobs: BlobStore) -> int:
    """Remove files that expired, and the parts of uploads that are over; how many files and uploads that were.

    The bytes go first: ended in between, the next sweep does it again.
    """
    with database.session(SYSTEM) as session:
        expired, over = files.expired(session), uploads.leftovers(session)
    for file in expired:
        if file.object_key is not None:
            blobs.delete(file.object_key)
    for upload in over:
        blobs.delete_prefix(upload.key_prefix)
    with database.session(SYSTEM) as session:
        files.remove_expired(session, file_ids=[file.id for file in expired])
        uploads.mark_swept(session, upload_ids=[upload.upload_id for upload in over])
    return len(expired) + len(over)


def sweep_exports(database: Database, blobs: BlobStore) -> int:
    """Remove the files of exports that expired, or came to nothing; how many exports. The bytes go first."""
    with database.session(SYSTEM) as session:
        over = exports.over(session)
    for _, prefix in over:
        blobs.delete_prefix(prefix)
    if over:
        with database.session(SYSTEM) as session:
            exports.mark_swept(session, export_ids=[export_id for export_id, _ in over])
    return len(over)


def sweep_imports(database: Database, blobs: BlobStore) -> int:
    """Remove what imports left that came to nothing; how many imports. The bytes go first."""
    with database.session(SYSTEM) as session:
        failed = model_imports.failed(session)
    for _, prefix in failed:
        blobs.delete_prefix(prefix)
    if failed:
        with database.session(SYSTEM) as session:
            model_imports.mark_swept(session, import_ids=[import_id for import_id, _ in failed])
    return len(failed)


def sweep_rows(database: Database) -> None:
    """Remove rows that versions left which failed, in portions that nothing has to wait for."""
    is_clean = False
    while not is_clean:
        with database.session(SYSTEM) as session:
            is_clean = ingest.sweep(session)


def sweep_run(blobs: BlobStore, prefix: str, *, kept: Iterable[str], up_to_attempt: int) -> int:
    """Delete what attempts up to this one stored below a run's prefix, but for what lies below the `kept` prefixes.

    Later attempts are left alone: they may be at work.
    """
    kept_folders = tuple(f"{one}/" for one in kept)
    num_deleted = 0
    for key in blobs.keys(prefix):
        match = _OF_ATTEMPT.match(key.removeprefix(prefix))
        if match is not None and int(match[1]) <= up_to_attempt and not key.startswith(kept_folders):
            blobs.delete(key)
            num_deleted += 1
    return num_deleted


def sweep_folders(database: Database, runs_dir: Path) -> int:
    """Remove the folders of jobs that were done, or cancelled, while nobody worked on them here."""
    folders = {path.name: path for path in run_folder.of_jobs(runs_dir)}
    if not folders:
        return 0
    with database.session(SYSTEM) as session:
        over = checkpoints.over(session, job_ids=list(folders))
    for job_id in over:
        shutil.rmtree(folders[job_id], ignore_errors=True)
    return len(over)
