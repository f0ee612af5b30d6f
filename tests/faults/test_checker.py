"""The checker finds nothing wrong after an ordinary day, and each thing that is planted.

A plant in the database is never committed: the checker is handed the transaction that holds it.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from core.db.session import Database, Scope
from core.jobs.states import JobState
from tests.faults.arena import STUB, Arena
from tests.faults.arena_servers import ArenaServers
from tests.faults.checker import Scene, violations

pytestmark = pytest.mark.stack


class Day:
    """A run that succeeded, one that was cancelled at work, one that was cancelled before."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        worker = arena.worker()
        arena.started()
        self.done = arena.submit()
        arena.wait_for_end(self.done)
        worker.script(step_s=0.1)
        self.stopped = arena.submit()
        arena.wait_for_step(self.stopped)
        arena.cancel(self.stopped)
        arena.wait_for_end(self.stopped)
        arena.stop_workers()
        self.untouched = arena.submit(ring=False)
        arena.cancel(self.untouched)
        arena.tidy()
        self.scene = arena.scene()

    @contextmanager
    def planted(self, *statements: str, **values: object) -> Iterator[Scene]:
        """The scene as it would be after these statements."""
        names = {"done": self.done.job_id, "done_run": self.done.run_id, "workspace": self.done.workspace_id} | values
        names |= {"stopped": self.stopped.job_id, "stopped_run": self.stopped.run_id}
        engine = create_engine(self.arena.servers.direct.database_owner_url, poolclass=NullPool)
        with engine.connect() as connection, Session(connection) as session:
            session.execute(text("select set_config('app.scope', 'system', true)"))
            for statement in statements:
                used = {name: value for name, value in names.items() if f":{name}" in statement}
                session.execute(text(statement), used)
            yield replace(self.scene, database=cast("Database", _Uncommitted(session)))
            session.rollback()

    @property
    def prefix(self) -> str:
        return str(self.arena.rows("select key_prefix from adapters")[0])


class _Uncommitted:
    def __init__(self, session: Session) -> None:
        self._session = session

    def session(self, _scope: Scope) -> Any:  # noqa: ANN401 - as the real one
        return nullcontext(self._session)


@pytest.fixture(scope="module")
def day(drill_servers: ArenaServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    drill_servers.recover()
    drill_servers.empty()
    arena = Arena(drill_servers, tmp_path_factory.mktemp("day"), trainer=STUB)
    try:
        yield Day(arena)
    finally:
        arena.close()


def test_an_ordinary_day_breaks_no_rule(day: Day) -> None:
    assert violations(day.scene) == []


_NO_GUARD = "alter table ledger_entries disable trigger user"
_NO_AUDIT_GUARD = "alter table audit_events disable trigger user"
_LEDGER = "id, kind, source_id, amount_micros, seconds, tokens, created_by, workspace_id, created_at"
_SECOND_ENTRY = f"""
insert into ledger_entries ({_LEDGER})
select 'led_2', {_LEDGER.removeprefix("id, ")} from ledger_entries where source_id = :done_run"""
_CHECKPOINT = """
insert into run_checkpoints (run_id, attempt, step, workspace_id, key_prefix, digest, num_bytes)
values (:done_run, 1, 5, :workspace, 'nowhere', 'x', 1)"""
_LATE_EVENT = """
update job_events set attempt = 2 where job_id = :done and seq =
(select min(seq) from job_events where job_id = :done and attempt = 1)"""
_SECOND_ATTEMPT = """
insert into job_attempts (job_id, attempt, worker_id, workspace_id, created_at, ended_at, outcome)
select job_id, 2, 'w2', workspace_id, created_at, ended_at, outcome from job_attempts where job_id = :done"""

_DELIVERY = "workspace_id, endpoint_id, event_id, occurrence, body, state, num_tries, attempt"
_SECOND_TELLING = f"""
insert into webhook_deliveries (id, event_type, {_DELIVERY})
select 'whd_z', 'fine_tuning.job.failed', {_DELIVERY} from webhook_deliveries where event_type like '%succeeded'"""


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (["update jobs set state = 'queued', finished_at = null where id = :done"], "is queued, which is no end"),
        (["update jobs set lease_owner = 'w1' where id = :done"], "still leased to w1"),
        ([_NO_GUARD, "delete from ledger_entries where source_id = :done_run"], "succeeded and is not charged"),
        ([_NO_GUARD, "delete from ledger_entries where source_id = :stopped_run"], "cancelled and is not charged"),
        (
            ["alter table ledger_entries drop constraint uq_ledger_entries_kind_source_id", _SECOND_ENTRY],
            "is charged 2 times",
        ),
        (["update jobs set state = 'failed', blame = 'platform_error' where id = :done"], "and is charged"),
        ([_NO_GUARD, "update ledger_entries set tokens = tokens + 90"], "trained 3600 tokens and was charged 3690"),
        ([_NO_GUARD, "update ledger_entries set seconds = seconds + 1"], "s and was charged"),
        ([_NO_GUARD, "update ledger_entries set amount_micros = amount_micros + 1"], "and was charged"),
        (
            [_NO_GUARD, "update ledger_entries set source_id = 'ftjob-none' where source_id = :done_run"],
            "is charged and is no run",
        ),
        (["update runs set adapter_id = null where id = :done_run"], "its adapter is None"),
        (["update job_attempts set ended_at = null where job_id = :done"], "was never closed"),
        (["update job_attempts set outcome = 'retried' where job_id = :done"], "its last attempt retried"),
        (
            [_SECOND_ATTEMPT, "update jobs set attempt = 2 where id = :done"],
            "attempt 1 overlaps attempt 2",
        ),
        (["update jobs set attempt = 2 where id = :done"], "counts 2 attempts and has [1]"),
        (
            [_LATE_EVENT],
            "wrote an event after 2 began",
        ),
        (["update adapters set digest = 'x'"], "the digest of its row is not that of its manifest"),
        (["update adapters set files = '[]'"], "row {}"),
        (["update adapters set key_prefix = 'nowhere'"], "has not exactly one manifest"),
        (
            [_CHECKPOINT],
            "keeps its checkpoint of step 5",
        ),
        (
            [_CHECKPOINT, "update jobs set state = 'failed' where id = :done"],
            "is entered and not in the bucket",
        ),
        (
            [_NO_AUDIT_GUARD, "delete from audit_events where action = 'run.created'"],
            "says who created",
        ),
        (
            [_NO_AUDIT_GUARD, "delete from audit_events where action = 'run.cancelled' and target_id = :stopped_run"],
            "says who cancelled",
        ),
        ([_NO_AUDIT_GUARD, "update audit_events set actor_name = 'Nobody' where sequence = 1"], "is changed"),
        (
            ["delete from webhook_deliveries where event_type like '%succeeded'"],
            "is succeeded, and of its attempt 1 was told: []",
        ),
        (
            ["delete from webhook_deliveries where occurrence like '%/0'"],
            "is cancelled, and of its attempt 0 was told: []",
        ),
        (
            ["update webhook_deliveries set event_type = 'fine_tuning.job.failed' where event_type like '%succeeded'"],
            "was told: ['failed']",
        ),
        (
            ["update webhook_deliveries set occurrence = :done_run || '/7' where event_type like '%succeeded'"],
            "and it is no failure that was taken up again",
        ),
        ([_SECOND_TELLING], "was told: ['succeeded', 'failed']"),
        (["update webhook_deliveries set state = 'pending'"], "is pending after 1 tries"),
        (["update webhook_deliveries set event_id = 'evt_none'"], "did not arrive as evt_none"),
    ],
)  # fmt: skip
def test_a_broken_row_is_found(day: Day, statements: list[str], found: str) -> None:
    with day.planted(*statements) as scene:
        assert [sentence for sentence in violations(scene) if found in sentence] != []


def test_an_expected_state_is_held_to(day: Day) -> None:
    with day.planted("update jobs set state = 'queued', finished_at = null where id = :done") as scene:
        expecting = replace(scene, unfinished={day.done.job_id: JobState.PAUSED})
        assert any("is queued, not paused" in sentence for sentence in violations(expecting))


def test_another_object_beside_the_adapter_is_found(day: Day) -> None:
    key = f"{day.prefix}/surplus"
    day.arena.blobs.put_bytes(key, b"x")
    try:
        assert any("objects" in sentence for sentence in violations(day.scene))
    finally:
        day.arena.blobs.delete(key)


def test_an_object_of_an_attempt_that_did_not_win_is_found(day: Day) -> None:
    key = f"{day.prefix.removesuffix('/a1')}/a7/adapter_config.json"
    day.arena.blobs.put_bytes(key, b"x")
    try:
        assert any("is left of it" in sentence for sentence in violations(day.scene))
    finally:
        day.arena.blobs.delete(key)


def test_a_second_manifest_is_found(day: Day) -> None:
    key = f"{day.prefix}/again/manifest.json"
    day.arena.blobs.put_bytes(key, b"{}")
    try:
        assert any("not exactly one manifest" in sentence for sentence in violations(day.scene))
    finally:
        day.arena.blobs.delete(key)


def test_a_changed_object_is_found(day: Day) -> None:
    key = f"{day.prefix}/adapter_config.json"
    original = day.arena.blobs.read_bytes(key)
    day.arena.blobs.put_bytes(key, original + b" ")
    try:
        assert any("objects" in sentence for sentence in violations(day.scene))
    finally:
        day.arena.blobs.put_bytes(key, original)


def test_an_unfinished_upload_is_found(day: Day) -> None:
    client, bucket = day.arena.blobs._client, day.arena.blobs._bucket
    begun = client.create_multipart_upload(Bucket=bucket, Key="half")
    try:
        assert any("half was begun" in sentence for sentence in violations(day.scene))
    finally:
        client.abort_multipart_upload(Bucket=bucket, Key="half", UploadId=begun["UploadId"])


@pytest.mark.parametrize(
    ("folder", "found"),
    [("runs/{done}/a1", "is that of a job that succeeded"), ("runs/x/a1/checkpoints/.partial-00000005", "checkpoint")],
)
def test_a_folder_left_behind_is_found(day: Day, tmp_path: Path, folder: str, found: str) -> None:
    (tmp_path / folder.format(done=day.done.job_id)).mkdir(parents=True)
    assert any(found in sentence for sentence in violations(replace(day.scene, homes=(tmp_path,))))


def test_a_process_that_runs_on_is_found(day: Day) -> None:
    folder = day.arena.home / "runs" / "job_x" / "a1"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", str(folder)]) as orphan:
        try:
            assert [process.pid for process in day.arena.trainers()] == [orphan.pid]
            assert any(f"process {orphan.pid}" in sentence for sentence in violations(day.scene))
        finally:
            psutil.Process(orphan.pid).kill()
