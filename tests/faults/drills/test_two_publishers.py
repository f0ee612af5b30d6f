"""Drill 23: two attempts publish at once. One of them is entered, whole, and nothing of the other is ever found."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from core.backends.blobs import S3BlobStore
from core.errors import Conflict
from core.kit.ids import new_id
from tests.faults.arena import LEASE_S, RECONCILE_S, STARTED_S, Arena, Submitted, stub
from tests.faults.recording import Record
from worker.tasks import verified_store

pytestmark = pytest.mark.stack

MIB = 1024 * 1024


def wins(blobs: S3BlobStore, key: str, manifest: bytes) -> bool:
    try:
        verified_store.put_manifest(blobs, key, manifest)
    except Conflict:
        return False
    return True


@pytest.mark.drill(23)
@pytest.mark.fast_drill
def test_of_manifests_put_to_the_same_place_at_once_one_is_kept(arena: Arena, record_figure: Record) -> None:
    """Beneath the fence: even two processes with the same attempt cannot both make their adapter visible."""
    blobs, times, num_rivals = S3BlobStore(arena.settings()), 20, 4
    manifests = [json.dumps({"files": {}, "of": number}).encode() for number in range(num_rivals)]
    for _ in range(times):
        key, at_once = f"drills/{new_id('')}/manifest.json", Barrier(num_rivals)

        def put(manifest: bytes, key: str = key, at_once: Barrier = at_once) -> bool:
            at_once.wait()
            return wins(blobs, key, manifest)

        with ThreadPoolExecutor(num_rivals) as pool:
            won = list(pool.map(put, manifests))
        assert sum(won) == 1
        assert blobs.read_bytes(key) == manifests[won.index(True)]
        # the winner may ask again, when only the answer was lost; nobody else ever wins
        assert [wins(blobs, key, manifest) for manifest in manifests] == won
    blobs.delete_prefix("drills/")
    record_figure("rivals", num_rivals, times=times)


def is_uploading(arena: Arena, run: Submitted, attempt: int) -> bool:
    listed = arena.blobs._client.list_multipart_uploads(Bucket=arena.blobs._bucket)
    return any(f"/{run.run_id}/a{attempt}/" in upload["Key"] for upload in listed.get("Uploads", []))


def manifests_of(arena: Arena, run: Submitted) -> list[str]:
    keys = arena.blobs.keys(f"workspaces/{run.workspace_id}/runs/{run.run_id}/a")
    return [key for key in keys if key.endswith("/manifest.json")]


@pytest.mark.drill(23)
@pytest.mark.parametrize("when", ["while the other publishes", "when the other is done"])
def test_a_publisher_that_stood_still_and_goes_on_changes_nothing(
    arena: Arena, when: str, record_figure: Record
) -> None:
    trainer = stub(steps=5, step_s=0, bytes=24 * MIB)
    first = arena.worker(trainer=trainer)
    arena.started()
    arena.servers.s3_proxy.faults.bytes_per_s = 8 * MIB
    run = arena.submit()
    arena.wait_until(lambda: is_uploading(arena, run, 1), timeout_s=STARTED_S, what="the first attempt publishes")
    first.freeze()
    second = arena.worker(trainer=trainer)
    arena.started(second)
    arena.wait_until(
        lambda: arena.make_due(run) or arena.job(run).attempt == 2,
        timeout_s=LEASE_S + RECONCILE_S + STARTED_S,
        what="the lease has run out and the second has the job",
    )
    if when == "while the other publishes":
        arena.wait_until(lambda: is_uploading(arena, run, 2), timeout_s=STARTED_S, what="the second publishes too")
    else:
        arena.wait_for_end(run, timeout_s=60)
    first.thaw()
    arena.servers.s3_proxy.heal()
    arena.wait_for_end(run, timeout_s=60)
    arena.wait_until(
        lambda: "lease is lost" in first.log() or "no longer ours" in first.log(), timeout_s=30, what="the first stops"
    )
    assert first.is_alive
    ((prefix, digest),) = arena.rows("select key_prefix, digest from adapters where run_id = :id", id=run.run_id)
    assert prefix.endswith("/a2")
    assert hashlib.sha256(arena.blobs.read_bytes(f"{prefix}/manifest.json")).hexdigest() == digest
    assert arena.rows("select count(*) from ledger_entries where source_id = :id", id=run.run_id) == [1]
    # what the first still had on its way is swept with the next round
    arena.wait_until(lambda: not is_uploading(arena, run, 1), timeout_s=60, what="its last upload has ended")
    num_manifests = len(manifests_of(arena, run))
    arena.tidy()
    assert manifests_of(arena, run) == [f"{prefix}/manifest.json"]
    record_figure("manifests_before_the_sweep", num_manifests, times=1)
