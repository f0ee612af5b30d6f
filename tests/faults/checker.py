"""What must hold after every drill, whatever went wrong in it. Each rule yields sentences about what it found broken.

The checker reads the database and the bucket past the proxies, and the disks of the arena's machines. It looks when the
workers have ended as a deploy ends them and the janitor went round once: what it finds, the product leaves behind.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from core.audit import service as audit
from core.backends.blobs import S3BlobStore
from core.db.session import SYSTEM, Database
from core.jobs.states import TERMINAL, AttemptOutcome, JobState
from tests.factories.receiver import Received

_MANIFEST = "manifest.json"
_SAME_S = 1e-6
# what the last attempt of a job in a terminal state must have ended in; a failure may also be the last of many retries
_LAST_OUTCOMES = {
    JobState.SUCCEEDED: {AttemptOutcome.SUCCEEDED},
    JobState.FAILED: {AttemptOutcome.FAILED, AttemptOutcome.RETRIED, AttemptOutcome.LEASE_EXPIRED},
}
_MAY_CONTINUE = {JobState.QUEUED, JobState.RUNNING, JobState.PAUSED, JobState.FAILED}


@dataclass(frozen=True, slots=True)
class Scene:
    """Where to look, and what the drill says about jobs that are not over."""

    database: Database
    blobs: S3BlobStore
    unfinished: Mapping[str, JobState] = field(default_factory=dict)
    """By job id; every other job must be in a terminal state."""
    homes: tuple[Path, ...] = ()
    """Of the machines; a dead machine's disk is not among them."""
    processes: Callable[[], list[psutil.Process]] = list
    """Those that still work for the arena when nothing should."""
    row_tokens: int | None = None
    """Trained tokens a step, if the trainer is one that says the same for every step."""
    received: Sequence[Received] = ()
    """What arrived at the webhooks of the workspaces."""

    def rows(self, query: str) -> list[dict[str, Any]]:
        with self.database.session(SYSTEM) as session:
            return [dict(row) for row in session.execute(text(query)).mappings()]


def violations(scene: Scene) -> list[str]:
    """Everything that is wrong; empty when the drill may pass."""
    return [f"{rule.__name__}: {sentence}" for rule in RULES for sentence in rule(scene)]


def each_job_is_over_or_where_the_drill_says(scene: Scene) -> Iterable[str]:
    # a factory's version brings a job along that never begins
    for job in scene.rows("select id, state, lease_owner from jobs where state <> 'validating' or attempt > 0"):
        state = JobState(job["state"])
        wanted = scene.unfinished.get(job["id"])
        if wanted is not None and state is not wanted:
            yield f"{job['id']} is {state}, not {wanted}"
        elif wanted is None and state not in TERMINAL:
            yield f"{job['id']} is {state}, which is no end"
        if state in TERMINAL and job["lease_owner"] is not None:
            yield f"{job['id']} is {state} and still leased to {job['lease_owner']}"


def each_run_is_charged_once_for_what_it_delivered(scene: Scene) -> Iterable[str]:
    entries: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in scene.rows("select * from ledger_entries where kind = 'training'"):
        entries[entry["source_id"]].append(entry)
    for run in scene.rows(
        "select r.id, r.cost_micros, r.seconds, r.trained_tokens, r.results, r.adapter_id, r.price_micros_per_hour, "
        "j.state, j.blame, j.attempt from runs r join jobs j on j.id = r.job_id"
    ):
        yield from _charge_of(scene, run, entries.pop(run["id"], []))
    for source_id in entries:
        yield f"{source_id} is charged and is no run"


def _charge_of(scene: Scene, run: dict[str, Any], charged: list[dict[str, Any]]) -> Iterable[str]:
    state, name = JobState(run["state"]), run["id"]
    if len(charged) > 1:
        yield f"{name} is charged {len(charged)} times"
    must_pay = state is JobState.SUCCEEDED or (state is JobState.CANCELLED and bool(run["seconds"]))
    may_pay = must_pay or state is JobState.CANCELLED
    if must_pay and not charged:
        yield f"{name} {state} and is not charged"
    if charged and not may_pay:
        yield f"{name} is {state} ({run['blame']}) and is charged {charged[0]['amount_micros']}"
    if (run["adapter_id"] is not None) != (state is JobState.SUCCEEDED):
        yield f"{name} is {state} and its adapter is {run['adapter_id']}"
    for entry in charged:
        if entry["amount_micros"] != run["cost_micros"]:
            yield f"{name} costs {run['cost_micros']} and was charged {entry['amount_micros']}"
        if abs(entry["seconds"] - (run["seconds"] or 0)) > _SAME_S:
            yield f"{name} took {run['seconds']} s and was charged {entry['seconds']} s"
        if state is JobState.SUCCEEDED:
            yield from _delivered(scene, name, run["results"] or {}, entry)


def _delivered(scene: Scene, name: str, results: dict[str, Any], entry: dict[str, Any]) -> Iterable[str]:
    """The charge against what the winning lineage says it did."""
    if entry["tokens"] != results.get("trained_tokens"):
        yield f"{name} trained {results.get('trained_tokens')} tokens and was charged {entry['tokens']}"
    if abs(entry["seconds"] - results.get("billable_s", 0)) > _SAME_S:
        yield f"{name} used {results.get('billable_s')} s in its winning lineage and was charged {entry['seconds']} s"
    if scene.row_tokens is not None and entry["tokens"] != scene.row_tokens * results.get("steps", 0):
        yield f"{name}: {results.get('steps')} steps have not {entry['tokens']} tokens"


def no_two_leases_of_a_job_overlap(scene: Scene) -> Iterable[str]:
    jobs = {job["id"]: job for job in scene.rows("select id, state, attempt from jobs")}
    by_job: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for attempt in scene.rows("select * from job_attempts order by job_id, attempt"):
        by_job[attempt["job_id"]].append(attempt)
    for job_id, attempts in by_job.items():
        job = jobs[job_id]
        if [one["attempt"] for one in attempts] != list(range(1, job["attempt"] + 1)):
            yield f"{job_id} counts {job['attempt']} attempts and has {[one['attempt'] for one in attempts]}"
        for earlier, later in pairwise(attempts):
            if earlier["ended_at"] is None or earlier["ended_at"] > later["created_at"]:
                yield f"{job_id}: attempt {earlier['attempt']} overlaps attempt {later['attempt']}"
        for one in attempts:
            is_held = job["state"] == JobState.RUNNING and one is attempts[-1]
            if not is_held and (one["ended_at"] is None or one["outcome"] is None):
                yield f"{job_id}: attempt {one['attempt']} was never closed"
        wanted = _LAST_OUTCOMES.get(JobState(job["state"]))
        if wanted and attempts[-1]["outcome"] not in wanted:
            yield f"{job_id} is {job['state']} and its last attempt {attempts[-1]['outcome']}"


def a_replaced_attempt_says_nothing_more(scene: Scene) -> Iterable[str]:
    latest: dict[str, int] = {}
    for event in scene.rows("select job_id, attempt, seq from job_events order by job_id, seq"):
        if event["attempt"] < latest.get(event["job_id"], 0):
            yield f"{event['job_id']}: attempt {event['attempt']} wrote an event after {latest[event['job_id']]} began"
        latest[event["job_id"]] = max(event["attempt"], latest.get(event["job_id"], 0))


def an_adapter_is_what_its_manifest_and_its_row_say(scene: Scene) -> Iterable[str]:
    adapters = scene.rows("select * from adapters")
    curves = {file["object_key"] for file in scene.rows("select object_key from files")}
    for adapter in adapters:
        prefix = adapter["key_prefix"]
        # beside it lie the curve of its run and, each for itself, its checkpoints
        beside = tuple(f"{one['key_prefix']}/" for one in adapters if one["key_prefix"].startswith(f"{prefix}/"))
        keys = [key for key in scene.blobs.keys(prefix) if key not in curves and not key.startswith(beside)]
        if keys.count(f"{prefix}/{_MANIFEST}") != 1 or sum(key.endswith(_MANIFEST) for key in keys) != 1:
            yield f"{adapter['id']}: {prefix} has not exactly one manifest"
            continue
        manifest = scene.blobs.read_bytes(f"{prefix}/{_MANIFEST}")
        if hashlib.sha256(manifest).hexdigest() != adapter["digest"]:
            yield f"{adapter['id']}: the digest of its row is not that of its manifest"
        promised = {name: entry["sha256"] for name, entry in json.loads(manifest)["files"].items()}
        known = {one["name"]: one["sha256"] for one in adapter["files"]}
        stored = {
            key.removeprefix(f"{prefix}/"): hashlib.sha256(scene.blobs.read_bytes(key)).hexdigest()
            for key in keys
            if not key.endswith(_MANIFEST)
        }
        if not promised == known == stored:
            yield f"{adapter['id']}: manifest {promised}, row {known}, objects {stored}"
    doubled = scene.rows(
        "select run_id, count(*) as num from adapters where checkpoint_step is null group by run_id having count(*) > 1"
    )
    yield from (f"{one['run_id']} has {one['num']} adapters" for one in doubled)


def the_bucket_keeps_what_the_database_names(scene: Scene) -> Iterable[str]:
    """After the janitor: of a run that is done, its adapter and nothing else."""
    for run in scene.rows(
        "select r.id, r.workspace_id, a.key_prefix, j.state from runs r join jobs j on j.id = r.job_id "
        "left join adapters a on a.run_id = r.id and a.checkpoint_step is null"
    ):
        if JobState(run["state"]) not in TERMINAL - {JobState.FAILED}:
            continue
        for key in scene.blobs.keys(f"workspaces/{run['workspace_id']}/runs/{run['id']}/"):
            if run["key_prefix"] is None or not key.startswith(f"{run['key_prefix']}/"):
                yield f"{run['id']} {run['state']}, and {key} is left of it"


def no_upload_is_left_unfinished(scene: Scene) -> Iterable[str]:
    listed = scene.blobs._client.list_multipart_uploads(Bucket=scene.blobs._bucket)
    yield from (f"{upload['Key']} was begun and never completed" for upload in listed.get("Uploads", []))


def no_disk_keeps_what_nobody_needs(scene: Scene) -> Iterable[str]:
    states = {job["id"]: JobState(job["state"]) for job in scene.rows("select id, state from jobs")}
    for home in scene.homes:
        for folder in sorted((home / "runs").glob("*/")):
            if states.get(folder.name) in TERMINAL - {JobState.FAILED}:
                yield f"{folder} is that of a job that {states[folder.name]}"
        for partial in sorted((home / "runs").rglob(".partial-*")):
            yield f"{partial} is half a checkpoint"
        for partial in sorted((home / "uploads").glob("*")):
            yield f"{partial} is half an upload"


def checkpoints_are_kept_only_for_runs_that_may_go_on(scene: Scene) -> Iterable[str]:
    known = scene.rows(
        "select c.run_id, c.step, c.key_prefix, j.state from run_checkpoints c "
        "join runs r on r.id = c.run_id join jobs j on j.id = r.job_id"
    )
    for one in known:
        if JobState(one["state"]) not in _MAY_CONTINUE:
            yield f"{one['run_id']} is {one['state']} and keeps its checkpoint of step {one['step']}"
        elif not any(key.endswith(_MANIFEST) for key in scene.blobs.keys(one["key_prefix"])):
            yield f"{one['run_id']}: the checkpoint of step {one['step']} is entered and not in the bucket"


def every_deed_is_on_record(scene: Scene) -> Iterable[str]:
    recorded = {(one["action"], one["target_id"]) for one in scene.rows("select action, target_id from audit_events")}
    for run in scene.rows("select r.id, j.cancel_requested_at from runs r join jobs j on j.id = r.job_id"):
        if ("run.created", run["id"]) not in recorded:
            yield f"nothing on record says who created {run['id']}"
        if run["cancel_requested_at"] is not None and ("run.cancelled", run["id"]) not in recorded:
            yield f"nothing on record says who cancelled {run['id']}"


def the_audit_log_is_unbroken(scene: Scene) -> Iterable[str]:
    with scene.database.session(SYSTEM) as session:
        for chain_id in audit.chain_ids(session):
            if found := audit.verify(session, chain_id=chain_id).first_break:
                yield f"event {found.sequence} of {chain_id} is {found.fault}"


def the_end_of_each_run_is_told_once(scene: Scene) -> Iterable[str]:
    """To every webhook that was there; beside it was told at most a failure after which the run was taken up again."""
    told: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in scene.rows("select * from webhook_deliveries where not is_test order by id"):
        told[one["endpoint_id"], one["occurrence"]].append(one["event_type"].rpartition(".")[2])
    for run in scene.rows(
        "select e.id as endpoint_id, r.id, j.state, j.attempt from webhook_endpoints e "
        "join runs r on r.workspace_id = e.workspace_id join jobs j on j.id = r.job_id "
        "where e.disabled_at is null and (j.finished_at is null or j.finished_at > e.created_at)"
    ):
        state, wanted = JobState(run["state"]), []
        if state in TERMINAL:
            wanted = [state.value]
        found = told.pop((run["endpoint_id"], f"{run['id']}/{run['attempt']}"), [])
        # taken up again, and not claimed since
        if found not in (wanted, [JobState.FAILED.value, *wanted]) or found == [JobState.FAILED.value] * 2:
            yield f"{run['id']} is {state}, and of its attempt {run['attempt']} was told: {found}"
    for (_, occurrence), events in told.items():
        if events != [JobState.FAILED]:
            yield f"of {occurrence} was told: {events}, and it is no failure that was taken up again"


def the_webhook_outbox_is_drained(scene: Scene) -> Iterable[str]:
    """What was told has arrived, at least once and always under the same id."""
    arrived: dict[str, set[bytes]] = defaultdict(set)
    for one in scene.received:
        arrived[one.headers["webhook-id"]].add(one.body)
    for delivery in scene.rows("select d.* from webhook_deliveries d where not is_test"):
        name = f"{delivery['event_type']} of {delivery['occurrence']}"
        if delivery["state"] != "delivered":
            yield f"{name} is {delivery['state']} after {delivery['num_tries']} tries"
        elif arrived.get(delivery["event_id"]) != {delivery["body"].encode()}:
            yield f"{name} is said to be delivered, and did not arrive as {delivery['event_id']}"
    for event_id, bodies in arrived.items():
        if {json.loads(body)["id"] for body in bodies} != {event_id}:
            yield f"{event_id} arrived with another event in it"


def nothing_runs_on(scene: Scene) -> Iterable[str]:
    for process in scene.processes():
        yield f"process {process.pid} still runs: {' '.join(process.cmdline())[-200:]}"


RULES: tuple[Callable[[Scene], Iterable[str]], ...] = (
    each_job_is_over_or_where_the_drill_says,
    each_run_is_charged_once_for_what_it_delivered,
    no_two_leases_of_a_job_overlap,
    a_replaced_attempt_says_nothing_more,
    an_adapter_is_what_its_manifest_and_its_row_say,
    the_bucket_keeps_what_the_database_names,
    no_upload_is_left_unfinished,
    no_disk_keeps_what_nobody_needs,
    checkpoints_are_kept_only_for_runs_that_may_go_on,
    every_deed_is_on_record,
    the_audit_log_is_unbroken,
    the_end_of_each_run_is_told_once,
    the_webhook_outbox_is_drained,
    nothing_runs_on,
)
