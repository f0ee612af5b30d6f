"""Drills 24, 26 and 28: a full disk, too little memory, a trainer that hangs: classified, with advice, and free."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.db.session import workspace_scope
from core.jobs.failures import FailureClass, failure_with_code
from core.jobs.states import JobState
from core.training import control
from tests.faults.arena import HEARTBEAT_S, Arena, Submitted, stub
from tests.faults.recording import Record
from worker.training import snapshot

pytestmark = pytest.mark.stack

MIB = 1024 * 1024
CHECKPOINT_STEPS = 5
ROW = b'{"messages": [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "A row."}]}\n'


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB, at the place of the home of `machine="small"`."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a file system of its own needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "none", place], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(place: Path) -> Path:
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        for size in (MIB, 4096, 1):
            try:
                while True:
                    stream.write(bytes(size))
            except OSError:
                continue
    return ballast


def failure(arena: Arena, run: Submitted) -> tuple[FailureClass, str]:
    """The class of what a run failed of, and what it is told."""
    error: dict[str, Any] = arena.job(run).error or {}
    found = failure_with_code(str(error.get("code")))
    assert found is not None, error
    return found.failure_class, str(error["message"])


def divisors(arena: Arena, run: Submitted) -> int:
    return int(arena.job(run).payload.get("micro_batch_divisor", 1))


@pytest.mark.drill(24)
@pytest.mark.fast_drill
def test_a_run_whose_disk_is_full_keeps_its_checkpoint_and_goes_on_when_there_is_room(
    arena: Arena, small_disk: Path, record_figure: Record
) -> None:
    worker = arena.worker(machine=small_disk.name, trainer=stub(step_s=0.1, bytes=MIB))
    reference = arena.submit()
    worker.script(reference, step_s=0.0)
    arena.wait_for_end(reference)
    run = arena.submit()
    arena.wait_for_step(run, 7)
    ballast = fill(small_disk)
    arena.wait_until(lambda: arena.job(run).state is JobState.QUEUED, timeout_s=20, what="it is given back")
    (error,) = arena.rows("select error->>'code' from job_attempts where job_id = :id and attempt = 1", id=run.job_id)
    assert error == "disk_full"
    kept = snapshot.newest_first(worker.home / "runs" / run.job_id / "a1" / "checkpoints")
    assert [snapshot.read(path).step for path in kept] != []
    ballast.unlink()
    arena.wait_for_end(run, timeout_s=40, skips_delays=True)
    assert arena.adapter_sha256(run) == arena.adapter_sha256(reference)
    record_figure("redone_steps", arena.num_redone_steps(run))


@pytest.mark.drill(24)
def test_a_run_whose_disk_stays_full_fails_as_that_and_can_be_continued(
    arena: Arena, small_disk: Path, record_figure: Record
) -> None:
    arena.worker(machine=small_disk.name, trainer=stub(step_s=0.1, bytes=MIB))
    run = arena.submit()
    arena.execute("update jobs set max_attempts = 2 where id = :id", id=run.job_id)
    arena.wait_for_step(run, 7)
    ballast = fill(small_disk)
    arena.wait_for_end(run, timeout_s=60)
    assert failure(arena, run)[0] is FailureClass.DISK_FULL
    ballast.unlink()
    with arena.database.session(workspace_scope(run.workspace_id)) as session:
        control.resume(session, principal=arena.principal(), run_id=run.run_id)
    arena.wait_for_end(run, timeout_s=40)
    assert arena.state(run) is JobState.SUCCEEDED
    # its checkpoint was kept, on the disk or in the bucket: none of the 40 steps but a few is done again
    redone = arena.num_redone_steps(run)
    record_figure("redone_steps_when_continued", redone)
    assert redone <= 2 * CHECKPOINT_STEPS


@pytest.mark.drill(24)
@pytest.mark.fast_drill
def test_an_upload_to_a_full_disk_is_answered_and_leaves_nothing(arena: Arena, small_disk: Path) -> None:
    with arena.api(home=small_disk) as api:
        ballast = fill(small_disk)
        content = ROW * 60_000
        refused = api.post("/v1/files", files={"file": ("rows.jsonl", content)}, data={"purpose": "fine-tune"})
        assert refused.status_code in {507, 413}, refused.text
        assert "Traceback" not in refused.text
        assert api.get("/v1/health").status_code == 200
        ballast.unlink()
        taken = api.post("/v1/files", files={"file": ("rows.jsonl", content)}, data={"purpose": "fine-tune"})
        assert taken.status_code == 200, taken.text
        assert list((small_disk / "uploads").glob("*")) == []


@pytest.mark.drill(26)
@pytest.mark.fast_drill
def test_a_run_short_of_memory_is_tried_once_more_in_half_portions(arena: Arena, record_figure: Record) -> None:
    worker = arena.worker()
    worker.script(out_of_memory_below_divisor=2)
    run = arena.submit()
    arena.wait_for_end(run, timeout_s=60, skips_delays=True)
    assert (arena.state(run), arena.job(run).attempt, divisors(arena, run)) == (JobState.SUCCEEDED, 2, 2)
    record_figure("attempts", 2)


@pytest.mark.drill(26)
def test_a_run_that_is_short_of_memory_again_fails_with_advice(arena: Arena, record_figure: Record) -> None:
    worker = arena.worker()
    worker.script(out_of_memory_at=3)
    run = arena.submit()
    arena.wait_for_end(run, timeout_s=60)
    kind, told = failure(arena, run)
    assert (arena.state(run), arena.job(run).attempt, kind) == (JobState.FAILED, 2, FailureClass.OUT_OF_MEMORY)
    assert "Choose" in told
    assert "cost you nothing" in told
    record_figure("attempts", 2)


@pytest.mark.drill(28)
@pytest.mark.fast_drill
def test_a_trainer_that_hangs_is_ended_and_its_run_goes_on(arena: Arena, record_figure: Record) -> None:
    worker = arena.worker(no_progress_s=2.0)
    worker.script(hang_at=12, attempts=[1])
    arena.started()
    run = arena.submit()
    arena.wait_for_step(run, 11)
    seconds = arena.wait_until(lambda: not arena.trainers(run), timeout_s=20, what="the hanging trainer is ended")
    record_figure("hang_to_ended_s", seconds)
    assert seconds <= 2.0 + 5.0 + HEARTBEAT_S + 1, "no_progress_s, kill_grace_s, and a look"
    arena.wait_for_end(run, timeout_s=40, skips_delays=True)
    (code,) = arena.rows("select error->>'code' from job_attempts where job_id = :id and attempt = 1", id=run.job_id)
    assert (code, arena.state(run)) == ("no_progress", JobState.SUCCEEDED)
    assert arena.num_redone_steps(run) <= 5


@pytest.mark.drill(28)
def test_a_run_that_hangs_again_fails_as_that(arena: Arena, record_figure: Record) -> None:
    worker = arena.worker(no_progress_s=2.0)
    worker.script(hang_at=3)
    run = arena.submit()
    arena.wait_for_end(run, timeout_s=60)
    assert (arena.state(run), failure(arena, run)[0]) == (JobState.FAILED, FailureClass.NO_PROGRESS)
    record_figure("attempts", arena.job(run).attempt)
