"""Checkpoints beyond this machine: brought to the object store while the child trains, and back for the next attempt.

The child announces a checkpoint, a thread uploads it; of those announced meanwhile only the newest. What is stored is
entered in the database under the lease, so a checkpoint that was cut short is never found.
"""

import errno
import logging
import os
import shutil
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy.exc import SQLAlchemyError

from core.db.session import workspace_scope
from core.errors import Conflict, NotFound, Unavailable
from core.jobs import service as jobs
from core.jobs.types import EventLevel, Lease, NewEvent
from core.kit.logs import logged_as
from core.training.checkpoints import service as stored_checkpoints
from core.training.checkpoints.service import StoredCheckpoint
from core.training.execution import Fenced
from worker.context import WorkContext
from worker.tasks import verified_store
from worker.tasks.verified_store import MAX_READS
from worker.training import snapshot
from worker.training.recovery import damage_data, damage_message
from worker.training.snapshot import Damaged, Snapshot

logger = logging.getLogger(__name__)

_FIRST_WAIT_S, _MAX_WAIT_S = 1.0, 60.0
_FAREWELL_S = 2.0
_UPLOADING = ".uploading"
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV}


class CheckpointUploader:
    """Use as a context manager around the child; show it every event. It never keeps the child waiting."""

    def __init__(self, context: WorkContext, lease: Lease, run_id: str, folder: Path) -> None:
        self._context, self._lease, self._run_id, self._folder = context, lease, run_id, folder
        self._lock = threading.Lock()
        self._announced: str | None = None
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run_as_its_job, name=f"checkpoints-{lease.job_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._abandoned.set()
        self._closing.set()
        self._wake.set()
        # what it holds lies in the run folder, which may be removed now
        self._thread.join(_FAREWELL_S)

    def on_event(self, line: dict[str, Any]) -> None:
        name = line.get("name")
        if line.get("type") == "checkpoint" and isinstance(name, str) and snapshot.step_of(name) is not None:
            self.announce(name)

    def announce(self, name: str) -> None:
        with self._lock:
            self._announced = name
        self._wake.set()

    def announce_newest(self) -> None:
        """One that an earlier attempt here left, and had no time to store."""
        for path in snapshot.newest_first(self._folder)[:1]:
            self.announce(path.name)

    def settle(self, *, within_s: float) -> bool:
        """Have the last announced one stored before the job is handed to another; False if there was no time."""
        self._closing.set()
        self._wake.set()
        give_up_at, keeper = time.monotonic() + within_s, self._context.keeper
        while self._thread.is_alive() and time.monotonic() < give_up_at:
            if keeper is not None and keeper.is_lost:
                break
            self._thread.join(0.05)
        is_settled = not self._thread.is_alive() and self._announced is None
        if not is_settled:
            logger.warning("the last checkpoint of run %s could not be stored in time", self._run_id)
        return is_settled

    def _run_as_its_job(self) -> None:
        with logged_as(self._lease.job_id, self._lease.workspace_id):
            self._run()

    def _run(self) -> None:
        wait_s = _FIRST_WAIT_S
        while not self._abandoned.is_set():
            self._wake.wait()
            self._wake.clear()
            name = self._announced
            if name is not None and not self._abandoned.is_set():
                try:
                    self._store(name)
                except Fenced:
                    return
                except (Unavailable, SQLAlchemyError) as error:
                    logger.warning("storing %s of run %s waits for servers: %s", name, self._run_id, error)
                    # somebody who waits for the end looks again soon; else there is time
                    self._closing.wait(wait_s)
                    self._abandoned.wait(_FIRST_WAIT_S if self._closing.is_set() else 0)
                    wait_s = min(2 * wait_s, _MAX_WAIT_S)
                    self._wake.set()
                    continue
                except (Damaged, OSError, Conflict) as error:
                    # the child may have removed it meanwhile: then it has announced a newer one, or will
                    logger.warning("%s of run %s cannot be stored: %s", name, self._run_id, error)
                wait_s = _FIRST_WAIT_S
                with self._lock:
                    if self._announced == name:
                        self._announced = None
            if self._closing.is_set() and self._announced is None:
                return
            if self._announced is not None:
                self._wake.set()

    def _store(self, name: str) -> None:
        held = self._folder / _UPLOADING / name
        try:
            _hold(self._folder / name, held)
            found = snapshot.read(held)
            prefix = stored_checkpoints.key_prefix(self._lease, self._run_id, name)
            self._upload(found, prefix)
            superseded = self._record(found, prefix)
            with suppress(Unavailable):  # no row names them any more, so a sweep will
                for old in superseded:
                    self._context.backends.blobs.delete_prefix(f"{old}/")
        finally:
            shutil.rmtree(held, ignore_errors=True)

    def _upload(self, found: Snapshot, prefix: str) -> None:
        blobs = self._context.backends.blobs
        for file in found.files:
            if self._abandoned.is_set():
                raise Fenced("Nobody waits for this checkpoint any more.")
            verified_store.put_verified(blobs, f"{prefix}/{file.name}", found.path / file.name, file.sha256)
        manifest = (found.path / snapshot.MANIFEST).read_bytes()
        verified_store.put_manifest(blobs, f"{prefix}/{snapshot.MANIFEST}", manifest)

    def _record(self, found: Snapshot, prefix: str) -> list[str]:
        stored = StoredCheckpoint(
            attempt=self._lease.attempt,
            step=found.step,
            key_prefix=prefix,
            digest=found.digest,
            num_bytes=found.num_bytes,
        )
        with self._context.database.session(workspace_scope(self._lease.workspace_id)) as session:
            return stored_checkpoints.record(session, self._lease, run_id=self._run_id, checkpoint=stored)


def put_in_place(context: WorkContext, lease: Lease, run_id: str, folder: Path, *, inherited_from: int | None) -> bool:
    """Have the newest whole checkpoint in `folder`, be it one of this machine or one from the object store.

    Those passed over because they are damaged are said as events. True if the newest is on this machine only. Raises
    `Unavailable` if there is a newer one in a store that does not answer: to begin without it would throw work away.
    """
    snapshot.remove_partial(folder)
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        stored = stored_checkpoints.stored(session, workspace_id=lease.workspace_id, run_id=run_id)
    shutil.rmtree(folder / _UPLOADING, ignore_errors=True)
    candidates: list[tuple[int, int, Path | StoredCheckpoint]] = [(one.attempt, one.step, one) for one in stored]
    candidates += [
        (inherited_from or 0, snapshot.step_of(path.name) or 0, path) for path in snapshot.newest_first(folder)
    ]
    # of the last attempt before earlier ones; where both have one, this machine's is nearer
    candidates.sort(key=lambda one: (one[0], one[1], isinstance(one[2], Path)), reverse=True)
    damaged: list[tuple[str, str]] = []
    used: Snapshot | None = None
    for _, step, candidate in candidates:
        try:
            used = snapshot.read(candidate) if isinstance(candidate, Path) else _fetch(context, candidate, folder)
            break
        except Damaged as problem:
            damaged.append((snapshot.name_of(step), str(problem)))
            if isinstance(candidate, Path):
                snapshot.remove(candidate)
    _say_damaged(context, lease, damaged, used)
    return used is not None and all(one.digest != used.digest for one in stored)


def _fetch(context: WorkContext, wanted: StoredCheckpoint, folder: Path) -> Snapshot:
    """Download to the side, verify, rename. Raises `Damaged` for one that comes back wrong again and again."""
    name = snapshot.name_of(wanted.step)
    for number in range(1, MAX_READS + 1):
        partial = folder / ".partial-download" / name
        shutil.rmtree(partial.parent, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            _download(context, wanted, partial)
            found = snapshot.read(partial)
        except Damaged as problem:
            logger.warning("%s came back damaged (%d of %d): %s", wanted.key_prefix, number, MAX_READS, problem)
            if number == MAX_READS:
                raise
        except NotFound as missing:
            raise Damaged("a file of it is missing in the object store") from missing
        else:
            snapshot.put_in_place(found.path, folder / name)
            return snapshot.parse(folder / name, (folder / name / snapshot.MANIFEST).read_bytes())
        finally:
            shutil.rmtree(partial.parent, ignore_errors=True)
    raise AssertionError


def _download(context: WorkContext, wanted: StoredCheckpoint, partial: Path) -> None:
    blobs = context.backends.blobs
    manifest = blobs.read_bytes(f"{wanted.key_prefix}/{snapshot.MANIFEST}")
    promised = snapshot.parse(partial, manifest)
    if promised.digest != wanted.digest:
        raise Damaged(f"{snapshot.MANIFEST} is not the one that was stored")
    (partial / snapshot.MANIFEST).write_bytes(manifest)
    for file in promised.files:
        blobs.download(f"{wanted.key_prefix}/{file.name}", partial / file.name)
        snapshot.sync(partial / file.name)


def _say_damaged(context: WorkContext, lease: Lease, damaged: Sequence[tuple[str, str]], used: Snapshot | None) -> None:
    name = None if used is None else used.name
    events = [
        NewEvent(damage_message(bad, why, name), level=EventLevel.WARN, data=damage_data(bad, why, name))
        for bad, why in damaged
    ]
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        if events and not jobs.record_events(session, lease, events, bus=context.backends.events):
            raise Fenced(f"Job {lease.job_id} is no longer ours.")


def _hold(checkpoint: Path, held: Path) -> None:
    """The checkpoint under a second name, so that it stays whole when the child removes it. Links cost no space."""
    shutil.rmtree(held, ignore_errors=True)
    # not its parents: a run folder that is gone stays gone
    held.parent.mkdir(exist_ok=True)
    held.mkdir()
    for path in checkpoint.iterdir():
        try:
            os.link(path, held / path.name, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            shutil.copy2(path, held / path.name, follow_symlinks=False)
