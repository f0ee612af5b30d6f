"""Drill 17: transactions that lose a race. Postgres undoes one of two; whoever sent it never hears of it."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import pytest
from sqlalchemy import create_engine, text

from core.jobs.states import JobState
from tests.faults.arena import Arena, stub
from tests.faults.drills.clients import JOBS, Crowd
from tests.faults.recording import Record

pytestmark = pytest.mark.stack

MAX_RETRIES = 3
SERIALIZATION_FAILURE, DEADLOCK = "40001", "40P01"
# a sequence counts on through rollbacks, so it knows how often a statement was tried
_LOSES = """
create sequence drill_tries;
grant usage on sequence drill_tries to public;
create function drill_lose() returns trigger language plpgsql as $$
begin
    if nextval('drill_tries') <= {times} then
        raise exception 'the drill wants a lost race' using errcode = '{state}';
    end if;
    return new;
end $$;
create trigger drill before {when} on {table} for each row execute function drill_lose()
"""
# every other transaction takes two locks in the other order, with time between for somebody to come in between
_MEETS = """
create sequence drill_tries;
grant usage on sequence drill_tries to public;
create function drill_meet() returns trigger language plpgsql as $$
declare turn bigint := mod(nextval('drill_tries'), 2);
begin
    perform pg_advisory_xact_lock(700 + turn);
    perform pg_sleep(0.3);
    perform pg_advisory_xact_lock(701 - turn);
    return new;
end $$;
create trigger drill before insert on {table} for each row execute function drill_meet()
"""
_FORGET = """
drop trigger drill on {table};
drop function if exists drill_lose();
drop function if exists drill_meet();
drop sequence drill_tries
"""


@contextmanager
def trigger(arena: Arena, table: str, script: str) -> Iterator[None]:
    """What the drill has Postgres do at each row that is written to `table`."""
    owner = create_engine(arena.servers.direct.database_owner_url, isolation_level="AUTOCOMMIT")
    try:
        with owner.connect() as connection:
            connection.exec_driver_sql(script)
            try:
                yield
            finally:
                connection.execute(text("set lock_timeout = '10s'"))
                connection.exec_driver_sql(_FORGET.format(table=table))
    finally:
        owner.dispose()


def loses(arena: Arena, table: str, *, times: int, state: str, when: str = "insert") -> AbstractContextManager[None]:
    return trigger(arena, table, _LOSES.format(table=table, times=times, state=state, when=when))


def cancel_all(arena: Arena, api: Crowd) -> None:
    for run_id in arena.rows("select id from runs"):
        assert api.send("POST", f"{JOBS}/{run_id}/cancel").status_code == 200


@pytest.mark.drill(17)
@pytest.mark.fast_drill
@pytest.mark.parametrize("state", [SERIALIZATION_FAILURE, DEADLOCK])
def test_three_lost_races_are_invisible_and_a_fourth_is_a_clean_refusal(
    arena: Arena, state: str, record_figure: Record
) -> None:
    with arena.api() as api:
        crowd = Crowd(api, arena.request_body())
        for table in ("idempotency_keys", "runs", "audit_events"):
            with loses(arena, table, times=MAX_RETRIES, state=state):
                answer = crowd.send("POST", JOBS, json=crowd.body)
            assert answer.status_code == 200, table
        assert arena.rows("select count(*) from runs") == [3]
        with loses(arena, "runs", times=MAX_RETRIES + 1, state=state):
            refused = crowd.send("POST", JOBS, json=crowd.body, headers={"idempotency-key": "drill"})
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "database_busy")
            assert crowd.send("POST", JOBS, json=crowd.body, headers={"idempotency-key": "drill"}).status_code == 200
        assert arena.rows("select count(*) from runs") == [4]
        assert crowd.unclean == []
        record_figure("slowest_s", max(answer.seconds for answer in crowd.answers), times=4 * MAX_RETRIES + 1)
        cancel_all(arena, crowd)


@pytest.mark.drill(17)
@pytest.mark.fast_drill
def test_real_deadlocks_between_clients_are_invisible_to_them(arena: Arena, record_figure: Record) -> None:
    num_deadlocks = "select deadlocks from pg_stat_database where datname = current_database()"
    with arena.api() as api:
        crowd = Crowd(api, arena.request_body())
        (before,) = arena.rows(num_deadlocks)
        with trigger(arena, "runs", _MEETS.format(table="runs")), ThreadPoolExecutor(2) as pool:
            for _ in range(3):
                list(pool.map(lambda _: crowd.create(), range(2)))
        assert {answer.status for answer in crowd.answers} == {200}
        assert arena.rows("select count(*) from runs") == [6]
        arena.wait_until(lambda: arena.rows(num_deadlocks) > [before], timeout_s=10, what="there was a deadlock at all")
        record_figure("slowest_s", max(answer.seconds for answer in crowd.answers))
        record_figure(times=arena.rows(num_deadlocks)[0] - before)
        cancel_all(arena, crowd)


@pytest.mark.drill(17)
@pytest.mark.parametrize("state", [SERIALIZATION_FAILURE, DEADLOCK])
@pytest.mark.parametrize("table", ["job_attempts", "job_events", "run_checkpoints", "ledger_entries"])
def test_a_worker_that_loses_races_goes_on_with_the_same_attempt(
    arena: Arena, table: str, state: str, record_figure: Record
) -> None:
    run = arena.submit()
    with loses(arena, table, times=MAX_RETRIES, state=state):
        arena.worker(trainer=stub(step_s=0.02))
        arena.started()
        began = time.monotonic()
        arena.wait_for_end(run, timeout_s=60)
    assert (arena.state(run), arena.job(run).attempt) == (JobState.SUCCEEDED, 1)
    record_figure("to_end_s", time.monotonic() - began, times=MAX_RETRIES)
