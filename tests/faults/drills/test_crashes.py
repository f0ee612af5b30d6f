"""Drills 1 to 4: processes that die, are orphaned, or stand still; with the stub, which says when results differ."""

import time
from contextlib import suppress

import psutil
import pytest

from core.jobs.states import AttemptOutcome, JobState
from tests.faults.arena import LEASE_S, RECONCILE_S, STARTED_S, Arena, Submitted, WorkerHandle, stub
from tests.faults.recording import Record

pytestmark = pytest.mark.stack

CHECKPOINT_STEPS = 5
FIRST_RETRY_S = 5.0
# looking, and starting a trainer, on two busy cores
SLACK_S = 4.0
# after which the database ends a transaction of somebody who stands still in it, with the locks that it holds
IDLE_TRANSACTION_S = 15.0


def outcomes(arena: Arena, run: Submitted) -> list[str]:
    return arena.rows("select outcome from job_attempts where job_id = :id order by attempt", id=run.job_id)


def undisturbed(arena: Arena) -> str:
    """The sha256 that a run ends in when nothing happens to it. How long a step takes changes no bit."""
    run = arena.submit()
    for worker in arena.workers:
        worker.script(run, step_s=0.0)
    arena.wait_for_end(run)
    return arena.adapter_sha256(run)


def owner(arena: Arena, run: Submitted) -> WorkerHandle:
    """The worker that holds the run's lease."""
    (pid,) = arena.rows(
        "select w.pid from workers w join jobs j on j.lease_owner = w.id where j.id = :id", id=run.job_id
    )
    return next(worker for worker in arena.workers if worker.pid == pid)


def kill_trainer(arena: Arena, run: Submitted) -> None:
    for process in arena.trainers(run):
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.drill(1)
@pytest.mark.parametrize("times", [pytest.param(3, marks=pytest.mark.fast_drill), 20])
def test_a_trainer_killed_at_a_random_step_ends_in_the_same_bits(
    arena: Arena, times: int, record_figure: Record
) -> None:
    workers = [arena.worker(trainer=stub(step_s=0.05)) for _ in range(2)]
    arena.started(*workers)
    expected = undisturbed(arena)
    runs = [arena.submit() for _ in range(times)]
    # what the database knows of a run's progress is up to half a second old, which is ten steps
    pending = [(run, arena.random.randint(1, 25)) for run in runs]
    deadline = time.monotonic() + 60 + 10 * times
    while pending:
        assert time.monotonic() < deadline, arena.describe()
        for run, step in list(pending):
            job = arena.job(run)
            if job.state is JobState.RUNNING and (job.progress_step or 0) >= step:
                kill_trainer(arena, run)
            if (job.progress_step or 0) >= step:
                pending.remove((run, step))
        time.sleep(0.05)
    arena.wait_for_end(*runs, timeout_s=30 + 5 * times, skips_delays=True)
    assert {arena.adapter_sha256(run) for run in runs} == {expected}
    num_killed = sum(len(outcomes(arena, run)) == 2 for run in runs)
    assert num_killed >= 0.8 * times, "the others were done before they were met"
    redone = max(arena.num_redone_steps(run) for run in runs)
    record_figure("redone_steps_worst", redone, times=num_killed)
    assert redone <= CHECKPOINT_STEPS


@pytest.mark.drill(2)
def test_another_machine_goes_on_when_one_is_lost(arena: Arena, record_figure: Record) -> None:
    for _ in range(2):
        arena.worker().script(attempts=[1], step_s=0.1)
    arena.started()
    expected = undisturbed(arena)
    run = arena.submit()
    arena.wait_for_step(run, 17)
    lost = owner(arena, run)
    lost.kill(with_children=True)
    killed = time.monotonic()
    arena.lost_machines.add(lost.home)
    arena.wait_until(
        lambda: arena.job(run).attempt == 2,
        timeout_s=LEASE_S + RECONCILE_S + FIRST_RETRY_S + SLACK_S,
        what="the other worker has claimed it",
    )
    record_figure("crash_to_claim_s", time.monotonic() - killed)
    arena.wait_until(lambda: 2 in arena.steps_of(run), timeout_s=10, what="it works again")
    record_figure("crash_to_resume_s", time.monotonic() - killed)
    arena.wait_for_end(run, timeout_s=30)
    assert outcomes(arena, run) == [AttemptOutcome.LEASE_EXPIRED, AttemptOutcome.SUCCEEDED]
    assert arena.adapter_sha256(run) == expected
    redone = arena.num_redone_steps(run)
    record_figure("redone_steps", redone)
    # a checkpoint every 5 steps of 0.1 s: the one before the newest may have been on its way to the store
    assert redone <= 2 * CHECKPOINT_STEPS


@pytest.mark.drill(3)
@pytest.mark.fast_drill
def test_an_orphan_trainer_ends_and_publishes_nothing(arena: Arena, record_figure: Record) -> None:
    first = arena.worker(trainer=stub(step_s=0.1))
    arena.started()
    run = arena.submit()
    arena.wait_for_step(run, 6)
    (orphan,) = arena.trainers(run)
    first.kill()
    ended = arena.wait_until(
        lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE,
        timeout_s=0.75 * LEASE_S,
        what="the orphan has ended",
    )
    record_figure("orphan_ended_s", ended)
    assert arena.rows("select id from adapters") == []
    # the same machine comes back, and finds its own checkpoints
    arena.worker(machine=first.home.name, trainer=stub(step_s=0.01))
    arena.wait_for_end(run, timeout_s=STARTED_S + LEASE_S + 20, skips_delays=True)
    assert arena.state(run) is JobState.SUCCEEDED
    assert arena.num_redone_steps(run) <= CHECKPOINT_STEPS


@pytest.mark.drill(4)
def test_a_supervisor_that_stood_still_is_fenced_off(arena: Arena, record_figure: Record) -> None:
    for _ in range(2):
        arena.worker().script(attempts=[1], step_s=0.15)
    arena.started()
    run = arena.submit()
    arena.wait_for_step(run, 6)
    zombie = owner(arena, run)
    zombie.freeze()
    frozen = time.monotonic()
    arena.wait_until(
        lambda: arena.job(run).attempt == 2,
        timeout_s=IDLE_TRANSACTION_S + LEASE_S + RECONCILE_S + FIRST_RETRY_S + SLACK_S,
        what="the other worker has claimed it",
    )
    assert [process for process in zombie.children() if process.status() != psutil.STATUS_ZOMBIE] == [], (
        "its trainer ended with the lease, before another could begin"
    )
    record_figure("freeze_to_claim_s", time.monotonic() - frozen)
    zombie.thaw()
    arena.wait_for_end(run, timeout_s=40)
    assert outcomes(arena, run) == [AttemptOutcome.LEASE_EXPIRED, AttemptOutcome.SUCCEEDED]
    # it is a worker again like any other, and does what comes next
    others = next(worker for worker in arena.workers if worker is not zombie)
    others.terminate()
    others.wait()
    following = arena.submit(epochs=1)
    zombie.script(following, step_s=0.0)
    arena.wait_for_end(following, timeout_s=40)
    assert arena.state(following) is JobState.SUCCEEDED
    record_figure("frozen_s", time.monotonic() - frozen)


@pytest.mark.drill(4)
def test_a_supervisor_that_stands_still_in_a_transaction_blocks_nobody(arena: Arena, record_figure: Record) -> None:
    """It holds locks: of the job's row, or of the reconciler. The database takes them away."""
    for _ in range(2):
        arena.worker(trainer=stub(step_s=0.15, steps=400))
    arena.started()
    run = arena.submit()
    arena.wait_for_step(run, 6)
    zombie = owner(arena, run)
    caught = 0
    while not caught:
        assert (arena.job(run).progress_step or 0) < 350, "it was never caught in a transaction"
        zombie.freeze()
        time.sleep(1.0)
        (caught,) = arena.rows(
            "select count(*) from pg_stat_activity where state = 'idle in transaction' "
            "and state_change < clock_timestamp() - interval '0.8 s'"
        )
        if not caught:
            zombie.thaw()
            time.sleep(arena.random.uniform(0, 0.05))
    frozen = time.monotonic()
    arena.wait_until(
        lambda: arena.job(run).attempt == 2,
        timeout_s=IDLE_TRANSACTION_S + LEASE_S + RECONCILE_S + FIRST_RETRY_S + SLACK_S,
        what="the other worker has claimed it",
    )
    record_figure("freeze_in_transaction_to_claim_s", time.monotonic() - frozen)
    zombie.thaw()
    arena.cancel(run)
    arena.wait_for_end(run, timeout_s=40)
