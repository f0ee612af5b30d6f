"""Drills 1, 2, 5, 6, 24, 26 and 28 with the real trainer, on a tiny random Llama, for the bits of real training."""

import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from core.jobs.failures import FailureClass
from core.jobs.states import JobState
from tests.factories.tiny_llama import put_tiny_llama
from tests.faults.arena import Arena, Submitted, WorkerHandle
from tests.faults.drills.test_checkpoints import DYING, flip, messages, newest_checkpoint
from tests.faults.drills.test_crashes import kill_trainer, owner
from tests.faults.drills.test_failures import MIB, failure, fill, small_disk
from tests.faults.recording import Record
from worker.training import snapshot

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

__all__ = ["small_disk"]
REAL = (sys.executable, "-m", "worker.training")
# importing torch and transformers, on two cores that do other things as well
START_S = 60.0
# 200 steps of a few milliseconds: long enough to be met in the middle
EPOCHS = 20


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return put_tiny_llama(tmp_path_factory.mktemp("tiny_llama"))


@pytest.fixture
def real(arena: Arena, tiny_llama: Path) -> Arena:
    arena.trainer, arena.base_model_dir, arena.row_tokens = REAL, tiny_llama, None
    return arena


def submit(arena: Arena) -> Submitted:
    return arena.submit(epochs=EPOCHS)


def ended(arena: Arena, *runs: Submitted) -> None:
    def are_done() -> bool:
        for run in runs:
            arena.make_due(run)
        return all(arena.state(run) is JobState.SUCCEEDED for run in runs)

    arena.wait_until(are_done, timeout_s=START_S * (1 + len(runs)), what="all have succeeded")


def same_bits(arena: Arena, *runs: Submitted) -> bool:
    return len({arena.adapter_sha256(run) for run in runs}) == 1


def wait_for_step_of(arena: Arena, run: Submitted, attempt: int, step: int) -> None:
    def is_there() -> bool:
        job = arena.job(run)
        return (job.attempt, job.state) == (attempt, JobState.RUNNING) and (job.progress_step or 0) >= step

    arena.wait_until(is_there, timeout_s=START_S, what=f"attempt {attempt} is at step {step}")


@pytest.mark.drill(1)
def test_real_training_killed_three_times_ends_in_the_same_bits(real: Arena, record_figure: Record) -> None:
    worker = real.worker()
    reference, run = submit(real), submit(real)
    real.wait_for_end(reference, timeout_s=START_S)
    steps = sorted(real.random.sample(range(10, 190), 3))
    for attempt, step in enumerate(steps, 1):
        real.wait_until(
            lambda attempt=attempt, step=step: (
                real.job(run).attempt == attempt
                and (real.job(run).progress_step or 0) >= step
                and real.state(run) is JobState.RUNNING
            ),
            timeout_s=START_S,
            what=f"attempt {attempt} is at step {step}",
        )
        kill_trainer(real, run)
        real.wait_until(lambda: real.state(run) is not JobState.RUNNING, timeout_s=10, what="that was noticed")
        real.make_due(run)
    ended(real, run)
    assert worker.is_alive
    assert same_bits(real, reference, run)
    record_figure("real_redone_steps", real.num_redone_steps(run), times=3)


@pytest.mark.drill(2)
def test_real_training_goes_on_to_the_same_bits_on_another_machine(real: Arena, record_figure: Record) -> None:
    for _ in range(2):
        real.worker()
    real.started()
    reference, run = submit(real), submit(real)
    real.wait_until(
        lambda: real.rows("select step from run_checkpoints where run_id = :id", id=run.run_id),
        timeout_s=START_S,
        what="a checkpoint is in the bucket",
    )
    lost = owner(real, run)
    lost.kill(with_children=True)
    real.lost_machines.add(lost.home)
    ended(real, reference, run)
    assert same_bits(real, reference, run)
    assert any("Continuing after step" in message for message in messages(real, run))
    record_figure("real_redone_steps", real.num_redone_steps(run))


@pytest.mark.drill(5)
def test_real_training_killed_while_it_saves_ends_in_the_same_bits(real: Arena, record_figure: Record) -> None:
    boundaries = [0, 4, 8, 12]
    reference = submit(real)
    runs = [submit(real) for _ in boundaries]
    workers = [real.worker(trainer=(*DYING, "real")) for _ in range(2)]
    for run, boundary in zip(runs, boundaries, strict=True):
        for worker in workers:
            worker.script(run, boundary=boundary, signal=int(signal.SIGKILL))
    ended(real, reference, *runs)
    assert {real.job(run).attempt for run in runs} == {2}
    assert same_bits(real, reference, *runs)
    record_figure("real_redone_steps_worst", max(real.num_redone_steps(run) for run in runs), times=len(runs))


@pytest.mark.drill(6)
def test_real_training_does_not_use_a_damaged_checkpoint(real: Arena, record_figure: Record) -> None:
    worker = real.worker()
    reference, run = submit(real), submit(real)
    real.wait_for_end(reference, timeout_s=START_S)
    real.wait_until(
        lambda: len(checkpoints_of(worker, run)) == snapshot.KEPT, timeout_s=START_S, what="it has two checkpoints"
    )
    kill_trainer(real, run)
    real.wait_until(lambda: real.state(run) is JobState.QUEUED, timeout_s=10, what="that was noticed")
    flip(newest_checkpoint(worker, run) / "state.safetensors")
    ended(real, run)
    assert same_bits(real, reference, run)
    assert any("is damaged" in message for message in messages(real, run))
    record_figure("real_redone_steps", real.num_redone_steps(run))


def checkpoints_of(worker: WorkerHandle, run: Submitted) -> list[Path]:
    return snapshot.newest_first(worker.home / "runs" / run.job_id / "a1" / "checkpoints")


@pytest.mark.drill(24)
def test_real_training_on_a_full_disk_keeps_its_checkpoint_and_goes_on(
    real: Arena,
    small_disk: Path,
    record_figure: Record,
) -> None:
    worker = real.worker(machine=small_disk.name)
    reference, run = submit(real), submit(real)
    real.wait_for_end(reference, timeout_s=START_S)
    real.wait_until(lambda: checkpoints_of(worker, run), timeout_s=START_S, what="it has a checkpoint")
    ballast = fill(small_disk)
    real.wait_until(lambda: real.state(run) is not JobState.RUNNING, timeout_s=30, what="it stopped")
    codes = real.rows("select error->>'code' from job_attempts where job_id = :id and attempt = 1", id=run.job_id)
    assert codes == ["disk_full"]
    assert [snapshot.read(path).step for path in checkpoints_of(worker, run)] != []
    ballast.unlink()
    ended(real, run)
    assert same_bits(real, reference, run)
    record_figure("real_redone_steps", real.num_redone_steps(run))


@pytest.mark.drill(26)
def test_real_training_that_may_not_have_its_memory_is_tried_twice_and_told(real: Arena, record_figure: Record) -> None:
    real.worker(child_memory_bytes=150 * MIB)
    run = submit(real)
    real.wait_for_end(run, timeout_s=2 * START_S)
    kind, told = failure(real, run)
    assert (kind, real.job(run).attempt) == (FailureClass.OUT_OF_MEMORY, 2)
    assert "Choose" in told
    assert real.job(run).payload["micro_batch_divisor"] == 2
    record_figure("attempts", 2)


@pytest.mark.drill(26)
def test_real_training_in_half_portions_has_the_same_effective_batch(real: Arena, record_figure: Record) -> None:
    """The loss of every step is the same up to the order of sums."""
    real.worker()
    whole, halved = submit(real), real.submit(epochs=EPOCHS, ring=False)
    real.execute("update jobs set payload = payload || '{\"micro_batch_divisor\": 2}' where id = :id", id=halved.job_id)
    ended(real, whole, halved)
    losses = [
        real.rows(
            "select (data->>'train_loss')::double precision from job_events where job_id = :id "
            "and data ? 'train_loss' order by seq",
            id=run.job_id,
        )
        for run in (whole, halved)
    ]
    assert len(losses[0]) == len(losses[1]) == 200
    worst = max(abs(one - other) for one, other in zip(*losses, strict=True))
    record_figure("loss_difference_worst", worst)
    # not nothing: sums of other portions differ in their last bits, so the portions were others
    assert 0 < worst < 1e-3


@pytest.mark.drill(28)
def test_real_training_that_stands_still_is_ended_and_goes_on(real: Arena, record_figure: Record) -> None:
    real.worker(no_progress_s=25.0)
    reference, run = submit(real), submit(real)
    real.wait_for_end(reference, timeout_s=START_S)
    real.wait_for_step(run, 20, timeout_s=START_S)
    for process in real.trainers(run):
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    seconds = real.wait_until(lambda: not real.trainers(run), timeout_s=60, what="the watchdog has ended it")
    record_figure("real_hang_to_ended_s", seconds)
    ended(real, run)
    codes = real.rows("select error->>'code' from job_attempts where job_id = :id and attempt = 1", id=run.job_id)
    assert codes == ["no_progress"]
    assert same_bits(real, reference, run)
