"""Claiming from a deep queue: how long a claim takes, and how fair the turns are.

10,000 jobs of 200 workspaces wait. One workspace has queued 2,040 of them, and first; the other 199 have 40 each. Eight
workers in virtual time: each claims, and its job ends after 30 to 90 s that the estimate misses by up to half. A job's
end is told to the database by dating its attempt back, so that what is measured is the code that serves in production.

The peer is procrastinate (a task queue on Postgres) with the same 10,000 jobs in the same Postgres, fetching one job
after the other by the function its workers use. It has priorities and no notion of a tenant.
"""

import heapq
import statistics
import time
from dataclasses import dataclass
from random import Random
from typing import Any

import procrastinate
from procrastinate.sql import queries
from sqlalchemy import Connection, make_url, text

from core.db.session import SYSTEM, Database
from core.jobs import service as jobs
from core.jobs.states import JobState
from core.jobs.types import Lease

NUM_WORKSPACES, NUM_JOBS, NUM_WORKERS = 200, 10_000, 8
_SMALL = 40
_PER_SMALL_WORKED = 36
_SEED = 20261123


@dataclass(frozen=True, slots=True)
class Turns:
    """Milliseconds of each claim, and the seconds of work that each workspace was given."""

    claim_ms: list[float]
    given_s: dict[str, float]

    @property
    def fairness_worst_pct(self) -> float:
        """How far the workspace that is farthest off is from the mean, in per cent of the mean."""
        mean = statistics.mean(self.given_s.values())
        return max(abs(given - mean) for given in self.given_s.values()) / mean * 100


def measure(database: Database) -> Turns:
    random = Random(_SEED)
    sizes = {f"ws_{number:03}": _SMALL for number in range(NUM_WORKSPACES)}
    sizes["ws_000"] = NUM_JOBS - _SMALL * (NUM_WORKSPACES - 1)
    _fill(database, sizes, random)
    claim_ms: list[float] = []
    given_s = dict.fromkeys(sizes, 0.0)
    busy: list[tuple[float, int, Lease]] = []
    now = 0.0
    for turn in range(_PER_SMALL_WORKED * NUM_WORKSPACES):
        if len(busy) == NUM_WORKERS:
            now, _, lease = heapq.heappop(busy)
            _finish(database, lease)
        started = time.perf_counter()
        with database.session(SYSTEM) as session:
            claimed = jobs.claim(session, queue_name="cpu", worker_id=f"w{turn % NUM_WORKERS}", lease_s=3600)
        claim_ms.append((time.perf_counter() - started) * 1000)
        if claimed is None:
            raise RuntimeError("a job was due and none was claimed")
        took_s = float(claimed.payload["took_s"])
        given_s[claimed.workspace_id] += took_s
        heapq.heappush(busy, (now + took_s, turn, claimed))
    return Turns(claim_ms, given_s)


def _fill(database: Database, sizes: dict[str, int], random: Random) -> None:
    """All at once, as the rows that `submit` writes."""
    rows: list[dict[str, Any]] = []
    for workspace_id, num_jobs in sizes.items():
        for _ in range(num_jobs):
            took_s = random.uniform(30, 90)
            rows.append(
                {
                    "id": f"job_{len(rows):06}",
                    "workspace_id": workspace_id,
                    "rank": float(len(rows)),
                    "estimated_s": took_s * random.uniform(0.5, 1.5),
                    "took_s": took_s,
                }
            )
    with database.session(SYSTEM) as session:
        connection = session.connection()
        connection.execute(
            text("insert into workspaces (id, name, slug) values (:id, :id, :id)"),
            [{"id": workspace_id} for workspace_id in sizes],
        )
        connection.execute(
            text(
                "insert into jobs (id, workspace_id, kind, queue, state, priority, attempt, num_interruptions, "
                "max_attempts, payload, queue_rank, queued_at, estimated_s) values (:id, :workspace_id, "
                "'training.run', 'cpu', 'queued', 0, 0, 0, 5, jsonb_build_object('took_s', cast(:took_s as float)), "
                ":rank, now(), :estimated_s)"
            ),
            rows,
        )
        connection.execute(
            text("insert into queue_shares (queue, workspace_id, virtual_time) values ('cpu', :id, 0)"),
            [{"id": workspace_id} for workspace_id in sizes],
        )
    with database.engine.connect() as connection:
        _analyze(connection, "jobs")


def _finish(database: Database, lease: Lease) -> None:
    with database.session(SYSTEM) as session:
        session.execute(
            text("update job_attempts set created_at = now() - make_interval(secs => :took_s) where job_id = :id"),
            {"took_s": lease.payload["took_s"], "id": lease.job_id},
        )
        jobs.finish(session, lease, JobState.SUCCEEDED)


def measure_peer(owner_url: str, num_claims: int) -> list[float]:
    """Milliseconds of each of procrastinate's fetches, with the same number of jobs waiting."""
    url = make_url(owner_url).set(drivername="postgresql").render_as_string(hide_password=False)
    connector = procrastinate.SyncPsycopgConnector(conninfo=url)
    app = procrastinate.App(connector=connector)
    with app.open():
        app.schema_manager.apply_schema()
        task = app.configure_task("bench", queue="cpu", allow_unknown=True)
        task.batch_defer(*({"number": number} for number in range(NUM_JOBS)))
        took_ms = []
        for _ in range(num_claims):
            started = time.perf_counter()
            found = connector.execute_query_one(query=queries["fetch_job"], queues=["cpu"], worker_id=None)
            took_ms.append((time.perf_counter() - started) * 1000)
            if found["id"] is None:
                raise RuntimeError("a job was due and none was fetched")
            connector.execute_query(
                query=queries["finish_job"],
                job_id=found["id"], status="succeeded", delete_job=False,
            )  # fmt: skip
    return took_ms


def _analyze(connection: Connection, table: str) -> None:
    # autovacuum does this in production; it is not what is measured
    connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(f"analyze {table}"))
