"""Drills 13 to 16: Postgres goes away and comes back. What was accepted is there; what is unknown is asked again."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text

from core.jobs.states import JobState
from tests.faults.arena import LEASE_S, RECONCILE_S, STARTED_S, Arena, stub
from tests.faults.drills.clients import JOBS, Crowd
from tests.faults.proxy_rules import Rule
from tests.faults.recording import Record

pytestmark = pytest.mark.stack

QUICK = stub(steps=3, step_s=0, eval_s=0)
FIRST_RETRY_S = 5.0
"""How long a job that lost its worker waits before another may have it."""
REFUSED_S = 5.0


def scheduled(arena: Arena) -> dict[str, Any]:
    """The body of a run that no worker begins today, so that a drill may create as many as it likes."""
    return {**arena.request_body(), "start_after": int(time.time()) + 24 * 3600}


def check_promises(arena: Arena, crowd: Crowd) -> None:
    """Every 200 is kept, nothing else was made, and every refusal was a clean one."""
    made = "select r.id, j.id from runs r join jobs j on j.id = r.job_id where j.not_before > now() + '1 h'"
    runs = dict(arena.rows(made))
    assert sorted(crowd.promised.values()) == sorted(runs), "what was promised and what is there"
    assert crowd.unclean == []
    arena.unfinished.update(dict.fromkeys(runs.values(), JobState.QUEUED))


@pytest.mark.drill(13)
def test_twenty_restarts_of_postgres_lose_no_accepted_run(arena: Arena, record_figure: Record) -> None:
    times = 20
    # twenty restarts in half a minute are more than a lease of 3 s bears; that of the product is a minute
    arena.worker(trainer=stub(steps=400, step_s=0.1, checkpoint_every_steps=50), lease_s=10 * LEASE_S)
    arena.started()
    trained = arena.submit()
    arena.wait_for_step(trained)
    with arena.api() as api:
        crowd = Crowd(api, scheduled(arena))
        with crowd.creating(num_clients=4):
            for _ in range(times):
                num_promised = len(crowd.promised)
                arena.servers.postgres.restart()
                arena.wait_until(
                    lambda before=num_promised: len(crowd.promised) >= before + 12, timeout_s=30, what="creates go on"
                )
    check_promises(arena, crowd)
    arena.wait_for_end(trained, timeout_s=90)
    assert (arena.state(trained), arena.job(trained).attempt) == (JobState.SUCCEEDED, 1)
    record_figure("promised", len(crowd.promised), times=times)
    record_figure("first_answer_was_no_200", crowd.num_unknown)
    record_figure("of_these_already_done", crowd.num_replayed)
    record_figure("slowest_refusal_s", crowd.slowest_refusal_s)


@pytest.mark.drill(14)
def test_a_kill_of_postgres_loses_no_accepted_run_and_shows_no_trace(arena: Arena, record_figure: Record) -> None:
    times = 3
    worst_recovery_s = 0.0
    arena.worker(trainer=stub(steps=200, step_s=0.1, checkpoint_every_steps=20))
    arena.started()
    trained = arena.submit()
    arena.wait_for_step(trained)
    with arena.api() as api:
        crowd = Crowd(api, scheduled(arena))
        with crowd.creating(num_clients=4):
            for _ in range(times):
                num_promised = len(crowd.promised)
                arena.wait_until(
                    lambda before=num_promised: len(crowd.promised) >= before + 4, timeout_s=30, what="creates go on"
                )
                arena.servers.postgres.kill()
                for path in (JOBS, "/v1/datasets", "/v1/files", f"{JOBS}/{trained.run_id}"):
                    answer = crowd.send("GET", path)
                    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")
                back_at = time.monotonic()
                arena.servers.postgres.start()
                arena.wait_until(
                    lambda: crowd.send("GET", JOBS).status_code == 200, timeout_s=30, what="the API answers again"
                )
                worst_recovery_s = max(worst_recovery_s, time.monotonic() - back_at)
    check_promises(arena, crowd)
    arena.wait_for_end(trained, timeout_s=90)
    assert arena.state(trained) is JobState.SUCCEEDED
    assert crowd.slowest_refusal_s < REFUSED_S
    record_figure("promised", len(crowd.promised), times=times)
    record_figure("first_answer_was_no_200", crowd.num_unknown)
    record_figure("slowest_refusal_s", crowd.slowest_refusal_s)
    record_figure("start_to_answering_worst_s", worst_recovery_s)


@contextmanager
def at_most(arena: Arena, num_connections: int) -> Iterator[None]:
    """As if `max_connections` were so low: for the role that the product uses."""
    engine = create_engine(arena.servers.direct.database_owner_url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"alter role tailorbird_app connection limit {num_connections}"))
            try:
                yield
            finally:
                connection.execute(text("alter role tailorbird_app connection limit -1"))
    finally:
        engine.dispose()


@contextmanager
def every_connection_taken(arena: Arena) -> Iterator[int]:
    """Connect until no more are let in; how many that took."""
    url = arena.servers.direct.database_url.replace("postgresql+psycopg://", "postgresql://")
    taken: list[psycopg.Connection[Any]] = []
    try:
        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            while True:
                taken.append(psycopg.connect(url))
        yield len(taken)
    finally:
        for connection in taken:
            connection.close()


@pytest.mark.drill(15)
@pytest.mark.fast_drill
def test_without_a_free_connection_the_api_refuses_at_once_and_works_again_by_itself(
    arena: Arena, record_figure: Record
) -> None:
    arena.database.dispose()
    with at_most(arena, 20), arena.api() as api:
        crowd = Crowd(api, scheduled(arena))
        with every_connection_taken(arena) as num_taken:
            for method, path in (("GET", JOBS), ("POST", JOBS), ("GET", "/v1/datasets"), ("GET", f"{JOBS}/ftjob-none")):
                began = time.monotonic()
                answer = crowd.send(method, path, json=crowd.body if method == "POST" else None)
                assert answer.status_code == 503
                assert time.monotonic() - began < REFUSED_S
        freed_at = time.monotonic()
        arena.wait_until(lambda: crowd.send("GET", JOBS).status_code == 200, timeout_s=10, what="it works again")
        record_figure("works_again_s", time.monotonic() - freed_at)
        crowd.create()
    check_promises(arena, crowd)
    record_figure("slowest_refusal_s", crowd.slowest_refusal_s)
    record_figure("connections_taken", num_taken)


@pytest.mark.drill(15)
def test_forty_clients_share_twelve_connections_and_all_get_their_run(arena: Arena, record_figure: Record) -> None:
    arena.worker(trainer=QUICK)
    arena.started()
    with at_most(arena, 12), arena.api() as api:
        crowd = Crowd(api, scheduled(arena))
        with crowd.creating(num_clients=40):
            arena.servers.database_proxy.reset_connections()
            arena.wait_until(lambda: len(crowd.promised) >= 200, timeout_s=90, what="200 runs are created")
    check_promises(arena, crowd)
    # the worker was among those that fought for connections
    run = arena.submit()
    arena.wait_for_end(run, timeout_s=30)
    assert crowd.slowest_refusal_s < REFUSED_S
    record_figure("promised", len(crowd.promised), times=sum(answer.status == 503 for answer in crowd.answers))
    record_figure("slowest_refusal_s", crowd.slowest_refusal_s)


class ReplyOfCommitIsLost:
    """The first COMMIT after a statement with `marker` in it goes through, and its reply never arrives."""

    def __init__(self, arena: Arena, marker: bytes) -> None:
        self._marker, self._is_armed = marker, False
        self._proxy = arena.servers.database_proxy
        self._before = self._proxy.counts["lose_reply"]
        self._proxy.faults.rules = [Rule("lose_reply", when=self._is_it, times=1)]

    @property
    def has_happened(self) -> bool:
        return self._proxy.counts["lose_reply"] > self._before

    def _is_it(self, chunk: bytes) -> bool:
        self._is_armed = self._is_armed or self._marker in chunk
        return self._is_armed and b"COMMIT" in chunk


@pytest.mark.drill(16)
@pytest.mark.fast_drill
@pytest.mark.parametrize("known_by", ["its key", "its body"])
def test_a_create_whose_commit_was_not_answered_happens_once(
    arena: Arena, known_by: str, record_figure: Record
) -> None:
    times = 10
    with arena.api() as api:
        crowd = Crowd(api, scheduled(arena))
        assert crowd.send("GET", JOBS).status_code == 200
        for number in range(times):
            lost = ReplyOfCommitIsLost(arena, b"idempotency_keys")
            # a script without a key is known by its body, and by its client's count of retries
            body = crowd.body | {"suffix": f"drill-{number}"}
            headers = (
                {"idempotency-key": f"drill-{number}"} if known_by == "its key" else {"x-stainless-retry-count": "0"}
            )
            first = crowd.send("POST", JOBS, json=body, headers=headers)
            assert lost.has_happened
            assert first.status_code == 503
            if known_by == "its body":
                headers = {"x-stainless-retry-count": "1"}
            again = crowd.send("POST", JOBS, json=body, headers=headers)
            assert (again.status_code, again.headers.get("idempotent-replayed")) == (200, "true")
            crowd.promised[str(number)] = again.json()["id"]
    check_promises(arena, crowd)
    record_figure(times=times)


@pytest.mark.drill(16)
@pytest.mark.parametrize(
    ("marker", "num_attempts"),
    [
        pytest.param(b"INSERT INTO job_attempts", 2, id="claim"),
        pytest.param(b"INSERT INTO run_checkpoints", 1, id="checkpoint"),
        pytest.param(b"INSERT INTO ledger_entries", 1, id="success"),
    ],
)
def test_a_worker_whose_commit_was_not_answered_does_its_job_once(
    arena: Arena, marker: bytes, num_attempts: int, record_figure: Record
) -> None:
    arena.worker(trainer=stub(step_s=0.05))
    arena.started()
    lost = ReplyOfCommitIsLost(arena, marker)
    run = arena.submit()
    began = time.monotonic()
    arena.wait_for_end(run, timeout_s=STARTED_S + LEASE_S + RECONCILE_S + FIRST_RETRY_S)
    assert lost.has_happened
    assert arena.state(run) is JobState.SUCCEEDED
    assert arena.job(run).attempt == num_attempts
    record_figure("submit_to_end_s", time.monotonic() - began, times=1)
