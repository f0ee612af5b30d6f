"""Drills 7 to 12: Redis carries hints only, so whatever becomes of it costs latency and nothing else."""

import logging
import time
from statistics import quantiles

import pytest
import redis

from core.jobs.states import JobState
from tests.faults.arena import HEARTBEAT_S, LEASE_S, RECONCILE_S, Arena, Submitted, stub
from tests.faults.recording import Record

pytestmark = pytest.mark.stack

LONG = 600.0
QUICK = stub(steps=3, step_s=0, eval_s=0)


def client_of(arena: Arena) -> "redis.Redis":
    return redis.Redis.from_url(arena.servers.direct.redis_url)


def attempts_of(arena: Arena, *runs: Submitted) -> list[int]:
    ids = [run.job_id for run in runs]
    return arena.rows("select count(*) from job_attempts where job_id = any(:ids) group by job_id", ids=ids)


def waits(arena: Arena) -> list[float]:
    """How long each claimed job had waited, in seconds."""
    return arena.rows(
        "select extract(epoch from a.created_at - j.queued_at)::double precision from job_attempts a "
        "join jobs j on j.id = a.job_id where a.attempt = 1"
    )


@pytest.mark.drill(7)
@pytest.mark.fast_drill
def test_jobs_run_on_and_submits_are_taken_while_redis_is_dead(arena: Arena, record_figure: Record) -> None:
    workers = [arena.worker() for _ in range(2)]
    arena.started()
    runs = [arena.submit() for _ in range(5)]
    for worker in workers:
        for run in runs[:2]:
            worker.script(run, step_s=0.05)
    arena.wait_until(lambda: len(arena.trainers()) == 2, timeout_s=10, what="two of them train")
    arena.servers.valkey.kill()
    with arena.api() as api:
        began = time.monotonic()
        answers = [api.post("/v1/fine_tuning/jobs", json=arena.request_body()) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        record_figure("submit_worst_s", (time.monotonic() - began) / 3)
    arena.wait_for_end(*runs[:2], timeout_s=30)
    arena.servers.valkey.start()
    late = arena.submit()
    arena.wait_until(
        lambda: not arena.rows("select id from jobs where state = 'queued' and queue = 'cpu'"),
        timeout_s=30,
        what="the backlog is claimed",
    )
    arena.wait_for_end(*runs, late, timeout_s=60)
    submitted = [answer.json()["id"] for answer in answers]
    arena.wait_until(
        lambda: arena.rows("select count(*) from jobs where state = 'succeeded'") == [9], timeout_s=60, what="all did"
    )
    assert len(submitted) == 3
    assert set(arena.rows("select attempt from jobs where queue = 'cpu'")) == {1}
    record_figure("backlog_claimed_worst_s", max(waits(arena)), times=1)


@pytest.mark.drill(7)
@pytest.mark.fast_drill
def test_an_idle_worker_claims_by_polling_while_redis_is_dead(arena: Arena, record_figure: Record) -> None:
    arena.worker(trainer=QUICK)
    arena.started()
    arena.servers.valkey.kill()
    for _ in range(3):
        arena.wait_for_end(arena.submit(), timeout_s=20)
    worst = max(waits(arena))
    record_figure("claimed_without_redis_worst_s", worst)
    assert worst <= 10 * RECONCILE_S


@pytest.mark.drill(8)
@pytest.mark.parametrize("num_jobs", [pytest.param(10, marks=pytest.mark.fast_drill), 50])
def test_a_flush_of_redis_loses_no_job_and_doubles_none(arena: Arena, num_jobs: int, record_figure: Record) -> None:
    runs = [arena.submit() for _ in range(num_jobs)]
    client_of(arena).flushall()
    for _ in range(2):
        arena.worker(trainer=QUICK)
    arena.started()
    arena.wait_until(
        lambda: sum(arena.state(run) is JobState.SUCCEEDED for run in runs) >= num_jobs // 2,
        timeout_s=120,
        what="half of them are done",
    )
    client_of(arena).flushall()
    arena.wait_for_end(*runs, timeout_s=120)
    assert {arena.state(run) for run in runs} == {JobState.SUCCEEDED}
    assert attempts_of(arena, *runs) == [1] * num_jobs
    record_figure("jobs", num_jobs, times=2)


@pytest.mark.drill(9)
def test_the_api_stays_quick_and_workers_poll_when_redis_swallows_everything(
    arena: Arena, record_figure: Record
) -> None:
    arena.worker(trainer=QUICK)
    arena.started()
    with arena.api() as api:
        arena.wait_for_end(arena.submit(), timeout_s=20)
        arena.servers.redis_proxy.faults.black_hole = True
        took = []
        ids = []
        for _ in range(15):
            for send in (
                lambda: api.post("/v1/fine_tuning/jobs", json=arena.request_body()),
                lambda: api.get("/v1/fine_tuning/jobs"),
            ):
                began = time.monotonic()
                answer = send()
                took.append(time.monotonic() - began)
                assert answer.status_code == 200
            ids.append(answer.json())
        p99 = quantiles(took, n=100, method="inclusive")[98]
        record_figure("api_p99_s", p99)
        assert p99 < 2
        arena.wait_until(
            lambda: arena.rows("select count(*) from jobs where state = 'succeeded'") == [16],
            timeout_s=90,
            what="all 15 ran by polling",
        )


@pytest.mark.drill(9)
def test_the_doorbell_works_again_after_a_black_hole(arena: Arena, record_figure: Record) -> None:
    """The poll sleeps for ten minutes here: whatever is claimed, the bell did."""
    arena.worker(trainer=QUICK, reconcile_interval_s=LONG)
    arena.started()
    run = arena.submit()
    arena.wait_for_end(run, timeout_s=30)
    arena.servers.redis_proxy.faults.black_hole = True
    deaf = arena.submit()
    # longer than any timeout of the consumer, so that each of them has to be survived
    arena.wait_until(
        lambda: arena.servers.redis_proxy.counts["connections"] >= 6 or arena.state(deaf) is not JobState.QUEUED,
        timeout_s=90,
        what="the consumer tried to connect anew",
    )
    arena.servers.redis_proxy.heal()
    healed = time.monotonic()
    while arena.state(deaf) is JobState.QUEUED and time.monotonic() - healed < 60:
        arena.ring(deaf.job_id)
        time.sleep(0.5)
    recovered = time.monotonic() - healed
    record_figure("doorbell_recovered_s", recovered)
    assert recovered < 60
    arena.wait_for_end(deaf, timeout_s=30)


@pytest.mark.drill(10)
@pytest.mark.fast_drill
def test_a_full_redis_refuses_no_submit(arena: Arena, record_figure: Record, caplog: pytest.LogCaptureFixture) -> None:
    worker = arena.worker(trainer=QUICK)
    arena.started()
    client = client_of(arena)
    client.config_set("maxmemory", "2mb")
    try:
        with pytest.raises(redis.OutOfMemoryError):
            for number in range(100):
                client.set(f"ballast-{number}", b"x" * 100_000)
        client.config_set("maxmemory", "1mb")  # so that it stays full whatever it frees
        with arena.api() as api, caplog.at_level(logging.WARNING):
            answers = [api.post("/v1/fine_tuning/jobs", json=arena.request_body()) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200, 200, 200]
            arena.wait_until(
                lambda: arena.rows("select count(*) from jobs where state = 'succeeded'") == [3],
                timeout_s=30,
                what="all three ran",
            )
            arena.wait_until(
                lambda: "are lost for now" in caplog.text or "are lost for now" in worker.log(),
                timeout_s=10,
                what="it is said that hints are lost",
            )
    finally:
        client.flushall()
        client.config_set("maxmemory", "64mb")
    record_figure("claimed_worst_s", max(waits(arena)), times=3)


@pytest.mark.drill(11)
@pytest.mark.fast_drill
def test_a_hundred_doorbells_for_one_job_give_one_lease(arena: Arena, record_figure: Record) -> None:
    for _ in range(4):
        arena.worker(trainer=stub(step_s=0.05), reconcile_interval_s=LONG)
    arena.started()
    # every worker listens, and its first look is over
    run = arena.submit(ring=False)
    client = client_of(arena)
    began = time.monotonic()
    for _ in range(100):
        arena.ring_now(run.job_id)
    arena.wait_until(lambda: client.llen("cpu") == 0, timeout_s=30, what="every bell was heard")
    each = (time.monotonic() - began) / 100
    arena.wait_for_end(run, timeout_s=30)
    assert attempts_of(arena, run) == [1]
    record_figure("each_doorbell_ms", 1000 * each, times=100)
    assert each < 0.05


@pytest.mark.drill(12)
@pytest.mark.fast_drill
def test_a_message_is_not_redelivered_while_its_job_runs_and_would_change_nothing(
    arena: Arena, record_figure: Record
) -> None:
    for _ in range(2):
        arena.worker(trainer=stub(step_s=0.1))
    arena.started()
    run = arena.submit()
    arena.wait_for_step(run)
    client = client_of(arena)
    assert client.zcard("unacked_index") == 0, "early acknowledgement: nothing is kept that could be redelivered"
    times = 20
    for _ in range(times):
        arena.ring_now(run.job_id)
    arena.wait_for_end(run, timeout_s=30)
    assert attempts_of(arena, run) == [1]
    record_figure(times=times)


@pytest.mark.drill(18)
@pytest.mark.fast_drill
def test_a_worker_whose_lease_was_stolen_stops_and_writes_nothing(arena: Arena, record_figure: Record) -> None:
    worker = arena.worker()
    worker.script(attempts=[1], step_s=0.2)
    arena.started()
    run = arena.submit()
    arena.wait_for_step(run, 3)
    arena.execute(
        "with closed as (update job_attempts set ended_at = now(), outcome = 'killed' where job_id = :id) "
        "update jobs set attempt = attempt + 1, lease_owner = 'thief', lease_expires_at = now() + interval '5 s' "
        "where id = :id",
        id=run.job_id,
    )
    arena.execute(
        "insert into job_attempts (job_id, attempt, worker_id, workspace_id) "
        "select id, attempt, 'thief', workspace_id from jobs where id = :id",
        id=run.job_id,
    )
    stopped = arena.wait_until(lambda: not arena.trainers(run), timeout_s=5, what="the old trainer is gone")
    record_figure("stopped_s", stopped)
    assert stopped <= 1.25 * HEARTBEAT_S + 1
    assert arena.job(run).lease_owner == "thief"
    arena.wait_for_end(run, timeout_s=5 + LEASE_S + 30, skips_delays=True)
    assert (arena.state(run), arena.job(run).attempt) == (JobState.SUCCEEDED, 3)
    assert worker.is_alive
