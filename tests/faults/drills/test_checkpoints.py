"""Drills 5 and 6: a checkpoint is there whole or not at all, and a damaged one is noticed and not used."""

import signal
import sys
from pathlib import Path

import pytest

from core.jobs.states import JobState
from tests.faults.arena import Arena, Submitted, WorkerHandle, stub
from tests.faults.recording import Record
from worker.training import snapshot

pytestmark = pytest.mark.stack

DYING = (sys.executable, str(Path(__file__).parents[1] / "dying_trainer.py"))
# what `snapshot.write` does to files, and one more: then it is the next checkpoint's first
NUM_BOUNDARIES = 18
CHECKPOINT_STEPS = 5


def messages(arena: Arena, run: Submitted) -> list[str]:
    return arena.rows(
        "select message from job_events where job_id = :id and type = 'message' order by seq", id=run.job_id
    )


@pytest.mark.drill(5)
@pytest.mark.parametrize(
    ("number", "step"),
    [(signal.SIGKILL, 3), (signal.SIGKILL, 1), (signal.SIGTERM, 1)],
    ids=["killed, every third boundary", "killed", "terminated"],
)
def test_a_signal_between_any_two_files_of_a_checkpoint_changes_no_bit(
    arena: Arena, number: signal.Signals, step: int, record_figure: Record
) -> None:
    boundaries = list(range(0, NUM_BOUNDARIES, step))
    reference = arena.submit()
    runs = [arena.submit() for _ in boundaries]
    workers = [arena.worker(trainer=(*DYING, "stub", "--step-s", "0.01")) for _ in range(2)]
    for run, boundary in zip(runs, boundaries, strict=True):
        for worker in workers:
            worker.script(run, boundary=boundary, signal=int(number))
    arena.wait_for_end(reference, *runs, timeout_s=60 + 6 * len(runs))
    assert {arena.state(run) for run in runs} == {JobState.SUCCEEDED}
    assert {arena.adapter_sha256(run) for run in runs} == {arena.adapter_sha256(reference)}
    assert {arena.job(run).attempt for run in runs} == {2}, "each of them was met"
    redone = max(arena.num_redone_steps(run) for run in runs)
    record_figure("redone_steps_worst", redone, times=len(runs))
    assert redone <= 2 * CHECKPOINT_STEPS


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def wait_until_killed(arena: Arena, run: Submitted) -> None:
    arena.wait_until(
        lambda: (arena.job(run).attempt, arena.state(run)) == (1, JobState.QUEUED),
        timeout_s=60,
        what="its trainer was killed",
    )


def newest_checkpoint(worker: WorkerHandle, run: Submitted) -> Path:
    return snapshot.newest_first(worker.home / "runs" / run.job_id / "a1" / "checkpoints")[0]


@pytest.mark.drill(6)
def test_a_checkpoint_with_any_damaged_file_is_noticed_and_not_used(arena: Arena, record_figure: Record) -> None:
    damages = [
        (name, damage)
        for name in ("state.safetensors", "state.json", snapshot.MANIFEST)
        for damage in (truncate, flip, Path.unlink)
    ]
    reference = arena.submit()
    runs = [arena.submit() for _ in damages]
    worker = arena.worker(trainer=stub(step_s=0.01))
    for run in runs:
        worker.script(run, kill_at=13, attempts=[1])
    damaged: dict[str, str] = {}
    for run, (name, damage) in zip(runs, damages, strict=True):
        wait_until_killed(arena, run)
        newest = newest_checkpoint(worker, run)
        damage(newest / name)
        damaged[run.job_id] = newest.name
    arena.wait_for_end(reference, *runs, timeout_s=90)
    assert {arena.adapter_sha256(run) for run in (reference, *runs)} == {arena.adapter_sha256(reference)}
    for run in runs:
        said = messages(arena, run)
        step = snapshot.step_of(damaged[run.job_id])
        assert any(f"The checkpoint of step {step} is damaged" in message for message in said), said
    redone = max(arena.num_redone_steps(run) for run in runs)
    record_figure("redone_steps_worst", redone, times=len(runs))
    assert redone <= 2 * CHECKPOINT_STEPS


@pytest.mark.drill(6)
def test_a_checkpoint_damaged_in_the_bucket_is_noticed_by_the_machine_that_fetches_it(
    arena: Arena, record_figure: Record
) -> None:
    first = arena.worker(trainer=stub(step_s=0.2))
    arena.started()
    run = arena.submit()
    arena.wait_until(
        lambda: len(arena.rows("select step from run_checkpoints where run_id = :id", id=run.run_id)) == 2,
        timeout_s=40,
        what="two checkpoints are in the bucket",
    )
    first.kill(with_children=True)
    arena.lost_machines.add(first.home)
    step, prefix = arena.rows(
        "select step, key_prefix from run_checkpoints where run_id = :id order by step desc limit 1", id=run.run_id
    )[0]
    key = next(key for key in arena.blobs.keys(prefix) if key.endswith("state.safetensors"))
    content = bytearray(arena.blobs.read_bytes(key))
    content[-1] ^= 1
    arena.blobs.put_bytes(key, bytes(content))
    arena.worker(trainer=stub(step_s=0.01))
    reference = arena.submit()
    arena.wait_for_end(run, reference, timeout_s=60)
    assert arena.adapter_sha256(run) == arena.adapter_sha256(reference)
    assert any(f"step {step} is damaged" in message for message in messages(arena, run)), messages(arena, run)
    record_figure("redone_steps", arena.num_redone_steps(run))
