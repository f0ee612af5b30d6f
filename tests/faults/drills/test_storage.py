"""Drills 20 to 22: the object store goes away, breaks off, and lies. An adapter is published whole, or not at all."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from core.jobs.states import Blame, JobState
from tests.faults.arena import LEASE_S, Arena, Submitted, stub
from tests.faults.drills.clients import JOBS
from tests.faults.proxy_rules import Rule
from tests.faults.recording import Record

pytestmark = pytest.mark.stack

MIB = 1024 * 1024
WEIGHTS = "adapter_model.safetensors"
# the adapter goes up in parts of 16 MiB
SIX_PARTS = 96 * MIB - 64 * 1024
FIRST_RETRY_S = 5.0
BACK_S = 60.0
"""Two of the longest pauses between tries: of the client of the object store (20 s) and of the worker (30 s)."""


def uploads(arena: Arena, run: Submitted) -> list[str]:
    """Keys of the run that are being uploaded in parts, or were, and never ended."""
    listed = arena.blobs._client.list_multipart_uploads(Bucket=arena.blobs._bucket)
    return [upload["Key"] for upload in listed.get("Uploads", []) if f"/{run.run_id}/a" in upload["Key"]]


def stored(arena: Arena, run: Submitted, attempt: int = 1) -> list[str]:
    """Names of what an attempt at the run has published so far."""
    prefix = f"workspaces/{run.workspace_id}/runs/{run.run_id}/a{attempt}/"
    return [key.removeprefix(prefix) for key in arena.blobs.keys(prefix)]


def events(arena: Arena, run: Submitted) -> str:
    return "\n".join(arena.rows("select message from job_events where job_id = :id order by seq", id=run.job_id))


def wait_for_stage(arena: Arena, run: Submitted, stage: str) -> None:
    arena.wait_until(lambda: arena.job(run).stage == stage, timeout_s=30, what=f"{run.job_id} is {stage}")


@pytest.mark.drill(20)
@pytest.mark.parametrize(("how", "num_leases"), [("refuses", 10), ("killed", 3)])
def test_an_adapter_waits_for_the_store_and_nothing_is_trained_again(
    arena: Arena, how: str, num_leases: int, record_figure: Record
) -> None:
    arena.worker(trainer=stub(steps=20, step_s=0.05))
    arena.started()
    run = arena.submit()
    arena.wait_for_step(run, 3)
    arena.servers.s3.kill() if how == "killed" else arena.servers.s3_proxy.refuse()
    wait_for_stage(arena, run, "publishing")
    down_s = num_leases * LEASE_S
    began = time.monotonic()
    while time.monotonic() - began < down_s:
        found = arena.job(run)
        assert (found.state, found.stage, found.attempt) == (JobState.RUNNING, "publishing", 1)
        assert arena.trainers(run) == []
        time.sleep(0.2)
    arena.servers.recover()
    back_s = arena.wait_for_end(run, timeout_s=BACK_S)
    assert (arena.state(run), arena.job(run).attempt) == (JobState.SUCCEEDED, 1)
    assert arena.num_redone_steps(run) == 0
    record_figure("down_s", down_s)
    record_figure("back_to_published_s", back_s, times=1)


@pytest.mark.drill(20)
def test_a_deploy_while_an_adapter_waits_for_the_store_trains_nothing_again(
    arena: Arena, record_figure: Record
) -> None:
    first = arena.worker(machine="one", trainer=stub(steps=20, step_s=0.05))
    arena.started()
    run = arena.submit()
    arena.wait_for_step(run, 3)
    arena.servers.s3_proxy.refuse()
    wait_for_stage(arena, run, "publishing")
    first.terminate()
    ended_s = arena.wait_until(lambda: not first.is_alive, timeout_s=60, what="the first worker has ended")
    record_figure("deploy_to_end_s", ended_s)
    assert arena.state(run) is JobState.QUEUED
    arena.worker(machine="one", trainer=("/bin/false",))
    wait_for_stage(arena, run, "publishing")
    arena.servers.recover()
    record_figure("back_to_published_s", arena.wait_for_end(run, timeout_s=BACK_S), times=1)
    assert (arena.state(run), arena.job(run).attempt) == (JobState.SUCCEEDED, 2)
    assert set(arena.steps_of(run)) == {1}
    assert "The training is done already" in events(arena, run)


@pytest.mark.drill(21)
def test_a_reset_in_the_third_of_six_parts_is_made_good(arena: Arena, record_figure: Record) -> None:
    parts: list[int] = []

    def is_third_part(head: bytes) -> bool:
        found = re.match(rb"PUT [^ ]*/adapter_model\.safetensors\?[^ ]*partNumber=(\d+)", head)
        if found is not None:
            parts.append(int(found[1]))
        return found is not None and parts[-1] == 3 and parts.count(3) <= 3

    arena.servers.s3_proxy.faults.rules = [Rule("cut", when=is_third_part, after_bytes=5 * MIB)]
    arena.worker(trainer=stub(steps=5, step_s=0, bytes=SIX_PARTS))
    arena.started()
    run = arena.submit()
    arena.wait_for_end(run, timeout_s=120)
    assert (arena.state(run), arena.job(run).attempt) == (JobState.SUCCEEDED, 1)
    assert arena.servers.s3_proxy.counts["cut"] == 3
    assert sorted(parts) == [1, 2, 3, 3, 3, 3, 4, 5, 6], "the broken part was sent again, and no other"
    assert sorted(stored(arena, run)) == ["adapter_config.json", WEIGHTS, "manifest.json"]
    record_figure("parts_sent", len(parts), times=3)


@pytest.mark.drill(21)
def test_a_worker_killed_in_the_middle_of_an_upload_leaves_nothing_visible(arena: Arena, record_figure: Record) -> None:
    trainer = stub(steps=5, step_s=0, bytes=SIX_PARTS)
    first = arena.worker(trainer=trainer)
    arena.started()
    arena.servers.s3_proxy.faults.rules = [
        Rule("reset", when=lambda head: b"partNumber=5" in head and WEIGHTS.encode() in head)
    ]
    run = arena.submit()
    arena.wait_until(lambda: uploads(arena, run), timeout_s=60, what="the upload of its parts has begun")
    arena.lost_machines.add(first.home)
    first.kill(with_children=True)
    killed_at = time.monotonic()
    assert len(uploads(arena, run)) == 1
    assert not {WEIGHTS, "manifest.json"} & set(stored(arena, run)), "nothing is visible"
    assert arena.rows("select id from adapters") == []
    arena.servers.s3_proxy.heal()
    arena.worker(trainer=trainer)
    arena.wait_for_end(run, timeout_s=120)
    record_figure("kill_to_published_s", time.monotonic() - killed_at, times=1)
    assert (arena.state(run), arena.job(run).attempt) == (JobState.SUCCEEDED, 2)
    assert not {WEIGHTS, "manifest.json"} & set(stored(arena, run, attempt=1))
    # a worker looks around when it starts, and every few minutes from then on
    arena.worker(trainer=trainer)
    swept_s = arena.wait_until(
        lambda: not uploads(arena, run) and not stored(arena, run, attempt=1), timeout_s=60, what="it is swept"
    )
    record_figure("swept_by_the_next_worker_s", swept_s)


def of_weights(method: bytes, folder: bytes = b"/a") -> Any:  # noqa: ANN401 - a predicate
    """Requests for the weights of an adapter."""
    return lambda head: head.startswith(method) and folder in head.split(b" ")[1] and WEIGHTS.encode() in head


@pytest.mark.drill(22)
@pytest.mark.fast_drill
def test_an_adapter_that_comes_back_damaged_once_is_read_again(arena: Arena) -> None:
    arena.servers.s3_proxy.faults.rules = [Rule("corrupt", when=of_weights(b"GET"), times=2)]
    arena.worker(trainer=stub(steps=3, step_s=0))
    arena.started()
    run = arena.submit()
    arena.wait_for_end(run, timeout_s=30)
    assert (arena.state(run), arena.job(run).attempt) == (JobState.SUCCEEDED, 1)
    assert arena.servers.s3_proxy.counts["corrupt"] == 2


@pytest.mark.drill(22)
def test_an_adapter_that_stays_damaged_is_not_published_and_can_be_continued(
    arena: Arena, record_figure: Record
) -> None:
    arena.servers.s3_proxy.faults.rules = [Rule("corrupt", when=of_weights(b"GET"))]
    run = arena.submit()
    arena.execute("update jobs set max_attempts = 2 where id = :id", id=run.job_id)
    worker = arena.worker(trainer=stub(steps=3, step_s=0))
    arena.started()
    arena.wait_for_end(run, timeout_s=60)
    job = arena.job(run)
    assert (job.state, job.blame, job.attempt) == (JobState.FAILED, Blame.PLATFORM_ERROR, 2)
    assert job.error is not None
    assert job.error["code"] == "adapter_damaged"
    assert arena.rows("select id from adapters") == []
    assert "manifest.json" not in [*stored(arena, run, 1), *stored(arena, run, 2)]
    times = arena.servers.s3_proxy.counts["corrupt"]
    assert times <= 2 * 3 * 3, "three reads, three uploads, two attempts"
    arena.servers.s3_proxy.heal()
    with arena.api() as api:
        assert api.post(f"{JOBS}/{run.run_id}/resume").status_code == 200
    arena.wait_for_end(run, timeout_s=60)
    assert arena.state(run) is JobState.SUCCEEDED
    assert set(arena.steps_of(run)) == {1}, "it was stored without being trained again"
    assert worker.is_alive
    record_figure("damaged_reads", times, times=times)


def lost_after_checkpoint(arena: Arena) -> Submitted:
    """A run whose machine is lost after its second checkpoint was stored; nobody works on it."""
    first = arena.worker(trainer=stub(steps=40, step_s=0.1, checkpoint_every_steps=5))
    arena.started()
    run = arena.submit()
    arena.wait_until(
        lambda: arena.rows("select max(step) from run_checkpoints where run_id = :id", id=run.run_id)[0] or 0,
        timeout_s=30,
        what="a checkpoint is in the store",
    )
    arena.lost_machines.add(first.home)
    first.kill(with_children=True)
    return run


@pytest.mark.drill(22)
@pytest.mark.parametrize("times", [1, None])
def test_a_checkpoint_that_comes_back_damaged_is_fetched_again_and_never_used(
    arena: Arena, times: int | None, record_figure: Record
) -> None:
    run = lost_after_checkpoint(arena)
    rule = Rule("corrupt", when=lambda head: head.startswith(b"GET") and b"/state.safetensors" in head, times=times)
    arena.servers.s3_proxy.faults.rules = [rule]
    arena.worker(trainer=stub(steps=40, step_s=0.01, checkpoint_every_steps=100))
    arena.wait_until(lambda: arena.make_due(run) or arena.job(run).attempt == 2, timeout_s=30, what="it is claimed")
    arena.wait_for_step(run)
    arena.wait_for_end(run, timeout_s=60)
    assert arena.state(run) is JobState.SUCCEEDED
    (first_step, *_) = arena.steps_of(run)[2]
    assert first_step > 1 if times == 1 else first_step == 1, "a damaged one is no place to go on from"
    if times is None:
        assert "damaged" in events(arena, run)
    twin = arena.submit()
    arena.wait_for_end(twin, timeout_s=60)
    assert arena.adapter_sha256(run) == arena.adapter_sha256(twin), "bitwise that of the undisturbed run"
    record_figure("damaged_reads", arena.servers.s3_proxy.counts["corrupt"], times=1)


@pytest.mark.drill(22)
def test_a_data_file_that_comes_back_damaged_is_never_learned_from(
    arena: Arena, tmp_path: Path, record_figure: Record
) -> None:
    lines = tmp_path / "rows.jsonl"
    rows = [
        {"messages": [{"role": role, "content": f"{role} says {number}"} for role in ("user", "assistant")]}
        for number in range(50)
    ]
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with arena.api() as api:
        with lines.open("rb") as stream:
            file = api.post("/v1/files", files={"file": ("rows.jsonl", stream)}, data={"purpose": "fine-tune"}).json()
        made = api.post("/v1/datasets", json={"file_id": file["id"], "name": "Numbers"}).json()
        arena.execute("update jobs set max_attempts = 2 where queue = 'io'")
        (key,) = arena.rows("select object_key from files where id = :id", id=file["id"])
        is_it = re.compile(rb"GET [^ ?]*/" + re.escape(key.encode())).match
        arena.servers.s3_proxy.faults.rules = [Rule("corrupt", when=lambda head: is_it(head) is not None)]
        arena.worker("io")
        arena.wait_until(
            lambda: arena.rows("select id from jobs where state = 'failed'"),
            timeout_s=60,
            what="its reading is given up",
        )
        shown = api.get(f"/v1/datasets/{made['id']}").json()
    assert "ready" not in str(shown), shown
    assert arena.rows("select error->>'code' from jobs where state = 'failed'") == ["file_corrupt"]
    times = arena.servers.s3_proxy.counts["corrupt"]
    assert times == 2 * 3, "it is read three times an attempt before it is given up"
    record_figure("damaged_reads", times, times=times)
    assert arena.rows("select count(*) from rows") == [0]
