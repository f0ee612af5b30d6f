"""Drill 29: a cancel at every stage ends the run soon, and never both cancelled and charged as a success."""

import threading
import time
from collections import Counter

import pytest

from core.errors import Conflict
from core.jobs.states import JobState
from tests.faults.arena import Arena, Submitted, stub
from tests.faults.proxy_rules import Rule
from tests.faults.recording import Record

pytestmark = pytest.mark.stack

WORST_S = 35.0
SLOW = stub(step_s=0.1, eval_s=0.7)


def cancel_and_time(arena: Arena, run: Submitted) -> tuple[float, JobState]:
    began = time.monotonic()
    try:
        arena.cancel(run)
    except Conflict:
        assert arena.state(run) is JobState.SUCCEEDED
    arena.wait_for_end(run, timeout_s=WORST_S)
    return time.monotonic() - began, arena.state(run)


@pytest.mark.drill(29)
@pytest.mark.parametrize(
    "stage",
    [
        *(pytest.param(stage, marks=pytest.mark.fast_drill) for stage in ("queued", "training", "publishing")),
        *("claimed", "measuring_base", "evaluating", "done"),
    ],
)
def test_a_cancel_at_each_stage_ends_the_run(arena: Arena, stage: str, record_figure: Record) -> None:
    if stage == "publishing":
        arena.servers.s3_proxy.faults.latency_s = 0.3
    worker = None if stage == "queued" else arena.worker(trainer=SLOW)
    if worker is not None:
        is_late = stage in {"evaluating", "publishing", "done"}
        worker.script(steps=8 if is_late else 40, eval_s=3.0 if stage == "evaluating" else 0.7)
        arena.started()
    run = arena.submit()
    if stage == "claimed":
        arena.wait_until(lambda: arena.state(run) is JobState.RUNNING, timeout_s=10, what="it is claimed")
    elif stage == "done":
        arena.wait_for_end(run)
    elif stage != "queued":
        arena.wait_until(lambda: arena.job(run).stage == stage, timeout_s=20, what=f"it is {stage}")
    seconds, state = cancel_and_time(arena, run)
    record_figure(f"cancel_{stage}_s", seconds)
    if stage == "done":
        assert state is JobState.SUCCEEDED
    elif stage == "publishing":
        assert state in {JobState.CANCELLED, JobState.SUCCEEDED}
    else:
        assert state is JobState.CANCELLED


@pytest.mark.drill(29)
def test_a_trainer_deaf_to_sigterm_is_killed_when_its_grace_is_over(arena: Arena, record_figure: Record) -> None:
    worker = arena.worker(kill_grace_s=30.0)
    worker.script(step_s=600, ignore_sigterm=True)
    arena.started()
    run = arena.submit()
    arena.wait_until(lambda: arena.job(run).stage == "training", timeout_s=20, what="it trains")
    seconds, state = cancel_and_time(arena, run)
    record_figure("cancel_worst_s", seconds)
    assert (state, seconds <= WORST_S) == (JobState.CANCELLED, True)


@pytest.mark.drill(29)
@pytest.mark.parametrize("times", [pytest.param(6, marks=pytest.mark.fast_drill), 100])
def test_a_cancel_at_a_random_moment_ends_the_run(arena: Arena, times: int, record_figure: Record) -> None:
    num_workers = 2
    for _ in range(num_workers):
        arena.worker(trainer=stub(step_s=0.01, eval_s=0.1))
    arena.started()
    arena.version()
    moments = [arena.random.uniform(0, 2.0) for _ in range(times)]
    arena.servers.s3_proxy.faults.rules.append(Rule("503", probability=0.1))
    worst: list[float] = []
    ends: Counter[str] = Counter()

    def cancel_some(share: list[float]) -> None:
        for moment in share:
            run = arena.submit()
            threading.Event().wait(moment)
            seconds, state = cancel_and_time(arena, run)
            worst.append(seconds)
            ends[state] += 1

    threads = [
        threading.Thread(target=cancel_some, args=[moments[number::num_workers]]) for number in range(num_workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(worst) == times
    assert set(ends) <= {JobState.CANCELLED, JobState.SUCCEEDED}
    record_figure("cancel_random_worst_s", max(worst), times=times)
    record_figure("cancelled", ends[JobState.CANCELLED])
    assert max(worst) <= WORST_S
