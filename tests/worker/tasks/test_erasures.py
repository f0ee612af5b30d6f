"""A person forgotten: search, a real worker, what is left of versions and files, and who goes on after a crash."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from core.adapters import service as adapters
from core.backends.blobs import S3BlobStore
from core.datasets.models import DatasetVersion
from core.db.session import SYSTEM, workspace_scope
from core.erasures import execution
from core.jobs import service as jobs
from core.jobs.kinds import QueueName
from core.jobs.models import JobLog
from core.serving.completions import service as completions
from core.tables import metadata
from core.training.models import Run
from tests.api.seeded import VOTE
from tests.conftest import Headers
from tests.factories.completions import new_completion
from tests.worker.tasks.versions_bench import Bench, edit
from worker.app import work_once
from worker.tasks import erasures as task

pytestmark = pytest.mark.stack

NAME = "Ada Lovelace"


class Office:
    """Whoever forgets, and the bench whose dataset holds the person."""

    def __init__(self, bench: Bench, headers: Headers) -> None:
        self.bench, self.headers = bench, headers
        # the person is in row 5 of version 2, and in what version 2 tells of its change; version 3 took it out again
        self.second = bench.change(bench.first, edit(5, f"I am {NAME}", "Welcome"), edit(6, "question 6", "mine"))
        self.third = bench.change(self.second, edit(5, "I am [name]", "Welcome"))

    def search(self, *terms: str) -> dict[str, Any]:
        found = self.bench.client.post("/v1/erasures", headers=self.headers, json={"terms": terms})
        assert found.status_code == 200, found.text
        made: dict[str, Any] = found.json()
        return made

    def confirm(self, erasure: dict[str, Any]) -> None:
        answer = self.bench.client.post(f"/v1/erasures/{erasure['id']}/confirm", headers=self.headers)
        assert answer.status_code == 200, answer.text

    def look(self, erasure: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.bench.client.get(f"/v1/erasures/{erasure['id']}", headers=self.headers).json()
        return found

    def version(self, version: dict[str, Any]) -> dict[str, Any]:
        url = f"/v1/dataset_versions/{version['id']}"
        found: dict[str, Any] = self.bench.client.get(url, headers=self.headers).json()
        return found

    def everything_kept(self) -> str:
        """All that the database and the object store hold of the workspace."""
        blobs = self.bench.context.backends.blobs
        kept = [blobs.read_bytes(key) for key in blobs.keys(f"workspaces/{self.bench.workspace_id}/")]
        with self.bench.context.database.session(SYSTEM) as session:
            for table in metadata.tables:
                kept += [str(tuple(row)).encode() for row in session.execute(text(f"select * from {table}"))]
        return b"\n".join(kept).decode(errors="replace")

    def artifact(self, version: dict[str, Any]) -> dict[str, Any]:
        with self.bench.context.database.session(workspace_scope(self.bench.workspace_id)) as session:
            artifact = session.get_one(DatasetVersion, version["id"]).artifact
        assert artifact is not None
        return artifact

    def objects(self, version: dict[str, Any]) -> set[str]:
        artifact = self.artifact(version)
        return {artifact["manifest_key"], *(file["key"] for file in artifact["files"])}

    def stored(self) -> set[str]:
        return set(self.bench.context.backends.blobs.keys(f"workspaces/{self.bench.workspace_id}/"))

    def parquet_numbers(self, version: dict[str, Any], tmp_path: Path) -> list[int]:
        artifact = self.artifact(version)
        path = tmp_path / f"{version['id']}.parquet"
        self.bench.context.backends.blobs.download(artifact["files"][0]["key"], path)
        manifest = json.loads(self.bench.context.backends.blobs.read_bytes(artifact["manifest_key"]))
        numbers: list[int] = pq.read_table(path).column("number").to_pylist()
        assert manifest["num_visible"] == len(numbers)
        return numbers


def kept_in(version: dict[str, Any]) -> dict[str, str | None]:
    """Of each finding that can be kept, on what ground it is."""
    found = [one for one in version["health"]["findings"] if one["can_be_kept"]]
    return {one["code"]: None if one["kept"] is None else one["kept"]["ground"] for one in found}


def told_elsewhere(office: Office) -> str:
    """The person in what things are called and in what was said of work; a run's id."""
    bench = office.bench

    def made(path: str, **body: object) -> dict[str, Any]:
        answer = bench.client.post(path, headers=office.headers, json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    model = "smollm2-135m-instruct"
    run = made(
        "/v1/fine_tuning/jobs",
        model=model,
        dataset_version_id=office.third["id"],
        name=f"Like {NAME}",
        suffix=NAME,
        metadata={"asked by": NAME, NAME: "yes", "team": "north"},
    )
    made(f"/v1/fine_tuning/jobs/{run['id']}/cancel")
    made("/v1/uploads", bytes=4, filename=f"{NAME}.jsonl", mime_type="text/jsonl", purpose="fine-tune")
    made("/v1/aliases", name="bot", model=model)
    made("/v1/aliases/bot/releases", arms=[{"model": model, "percent": 100}], note=f"{NAME} wants it")
    with bench.context.database.session(SYSTEM) as session:
        job_id = session.get_one(Run, run["id"]).job_id
        for said in ("Reading: Ada Love", "lace, 1815\n"):
            session.add(JobLog(workspace_id=bench.workspace_id, job_id=job_id, attempt=1, text=said))
            session.flush()
        jobs.append_event(session, workspace_id=bench.workspace_id, job_id=job_id, message=f"Left out: {NAME}")
    return str(run["id"])


@pytest.fixture
def office(bench: Bench, as_admin: Headers) -> Office:
    return Office(bench, as_admin)


def test_the_person_is_nowhere_any_more_and_a_receipt_says_so(
    office: Office,
    tmp_path: Path,
    workspace_id: str,
) -> None:
    bench = office.bench
    with bench.context.database.session(SYSTEM) as session:
        said = [{"role": "user", "content": f"Where is {NAME.lower()}?"}]
        completions.keep(session, new_completion(workspace_id, "chatcmpl-ada", messages=said))
    vote = VOTE | {"messages": said}
    vote_id = bench.client.post("/v1/preferences", headers=office.headers, json=vote).json()["id"]
    draft = f"/v1/datasets/{bench.dataset['id']}/draft/changes"
    body = {"version_id": office.third["id"], "change": edit(7, f"Ask {NAME}", "Yes")}
    assert bench.client.post(draft, headers=bench.headers, json=body).status_code == 200
    # the finding is in all three versions, and kept in one of them
    keep = f"/v1/dataset_versions/{office.second['id']}/findings/card_number/keep"
    assert bench.client.post(keep, headers=bench.headers, json={"ground": f"{NAME} agreed"}).status_code == 200
    learned = bench.learned(office.third)
    run_id = told_elsewhere(office)
    found = office.search(NAME)
    assert (found["num_grounds"], found["num_preferences"]) == (1, 1)
    texts = ("num_runs", "num_uploads", "num_notes", "num_job_texts")
    assert [found[name] for name in texts] == [1, 1, 1, 3]
    assert [one["num_rows"] for one in found["datasets"][0]["versions"]] == [1]
    # packed, so that no search of the bytes would find the name in what stayed
    objects_before = office.objects(office.second)
    assert objects_before <= office.stored()
    office.confirm(found)
    assert work_once(bench.context, QueueName.IO)
    receipt = office.look(found)
    assert (receipt["status"], receipt["error"]) == ("erased", None)
    assert (receipt["num_rows"], receipt["num_rows_erased"], receipt["num_completions"]) == (1, 1, 1)
    assert (receipt["confirmed_by_name"] is None, receipt["finished_at"] is None) == (False, False)
    assert receipt["examples"] == []
    assert [receipt[name] for name in texts] == [1, 1, 1, 3]
    run = bench.client.get(f"/v1/fine_tuning/jobs/{run_id}", headers=office.headers).json()
    assert (run["user_provided_suffix"], run["metadata"]) == ("[erased]", {"team": "north"})
    assert NAME.lower() not in office.everything_kept().lower()
    assert not objects_before & office.stored()
    assert office.objects(office.second) <= office.stored()
    voted = bench.client.get(f"/v1/preferences/{vote_id}", headers=office.headers).json()
    assert (voted["is_erased"], voted["messages"], [one["content"] for one in voted["answers"]]) == (True, [], ["", ""])
    [duel] = bench.client.get("/v1/preferences/wins", headers=office.headers).json()["data"]
    assert duel["num_votes"] == 1
    second = office.version(office.second)
    assert (second["num_erased"], second["num_visible"], second["num_rows"]) == (1, 41, 41)
    assert 5 not in bench.rows(second)
    assert second["content_sha256"] != office.second["content_sha256"]
    assert office.parquet_numbers(second, tmp_path) == sorted(bench.rows(second))
    assert kept_in(second) == {"card_number": "[erased]"}
    third = office.version(office.third)
    assert kept_in(third) == {"card_number": None}
    assert (third["num_erased"], third["content_sha256"]) == (0, office.third["content_sha256"])
    assert bench.learned(third) == learned
    audited = bench.client.get("/v1/audit_events", headers=office.headers, params={"action": "erasure.finished"})
    assert [one["target_id"] for one in audited.json()["data"]] == [found["id"]]


def test_the_uploaded_file_goes_as_a_whole_and_cannot_be_read_again(office: Office) -> None:
    bench = office.bench
    found = office.search("question 9")
    assert [file["id"] for file in found["files"]] == [bench.dataset["file_id"]]
    office.confirm(found)
    assert work_once(bench.context, QueueName.IO)
    receipt = office.look(found)
    assert (receipt["num_rows_erased"], [len(one["versions"]) for one in receipt["datasets"]]) == (1, [3])
    assert [office.version(one)["num_erased"] for one in (bench.first, office.second, office.third)] == [1, 1, 1]
    assert bench.client.get(f"/v1/files/{bench.dataset['file_id']}", headers=bench.headers).status_code == 404
    assert "question 9," not in office.everything_kept()
    body = {"mapping": {"question": "question", "answer": "answer"}}
    again = bench.client.post(f"/v1/datasets/{bench.dataset['id']}/versions", headers=bench.headers, json=body)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "file_erased")
    fourth = bench.change(office.third, edit(8, "question 8", "still works"))
    assert bench.learned(fourth)[8] == "still works"


def test_a_version_that_has_too_few_rows_left_is_told_as_it_is(office: Office) -> None:
    found = office.search("question", "I am", "My card")
    office.confirm(found)
    assert work_once(office.bench.context, QueueName.IO)
    assert office.look(found)["status"] == "erased"
    first = office.version(office.bench.first)
    assert (first["status"], first["num_rows"], first["num_erased"]) == ("ready", 0, 42)


def test_every_model_that_learned_from_a_version_with_such_a_row_is_named(office: Office, workspace_id: str) -> None:
    bench = office.bench
    made = bench.client.post(
        "/v1/fine_tuning/jobs",
        headers=bench.headers,
        json={"model": "smollm2-135m-instruct", "dataset_version_id": office.second["id"]},
    ).json()
    found = office.search(NAME)
    refused = bench.client.post(f"/v1/erasures/{found['id']}/confirm", headers=office.headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "erasure_runs_open")
    assert refused.json()["error"]["details"]["fine_tuning_job_ids"] == [made["id"]]
    bench.client.post(f"/v1/fine_tuning/jobs/{made['id']}/cancel", headers=bench.headers)
    with bench.context.database.session(SYSTEM) as session:
        run = session.get_one(Run, made["id"])
        model_id = adapters.register(
            session, workspace_id=workspace_id, workspace_slug="w", run_id=run.id, created_by=None, name="Ours",
            suffix=None, base_model="smollm2-135m-instruct", method="lora", quantization=None, digest="d" * 64,
            key_prefix="none", files=[], spec={}, metrics={},
        ).model_id  # fmt: skip
    office.confirm(found)
    assert work_once(bench.context, QueueName.IO)
    receipt = office.look(found)
    assert [(one["model"], one["fine_tuning_job_id"]) for one in receipt["models"]] == [(model_id, made["id"])]


class _Crash(Exception):
    pass


@pytest.mark.parametrize("step", ["apply", "needless_keys", "take_out", "succeed"])
def test_whoever_goes_on_after_a_crash_does_what_is_left(
    office: Office, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    bench = office.bench
    with bench.context.database.session(SYSTEM) as session:
        said = [{"role": "user", "content": "question 9, again"}]
        completions.keep(session, new_completion(bench.workspace_id, "chatcmpl-9", messages=said))
    found = office.search("question 9")
    office.confirm(found)
    with monkeypatch.context() as broken:

        def crash(*_: object, **__: object) -> None:
            raise _Crash

        broken.setattr(execution, step, crash)
        assert work_once(bench.context, QueueName.IO)
    assert office.look(found)["status"] == "erasing"
    # gone at once, whatever is still to be told of it
    assert 9 not in bench.rows(bench.first)
    with bench.context.database.session(SYSTEM) as session:
        session.execute(text("update jobs set not_before = null"))
    assert work_once(bench.context, QueueName.IO)
    receipt = office.look(found)
    assert (receipt["status"], receipt["num_rows"], receipt["num_rows_erased"]) == ("erased", 1, 1)
    assert receipt["num_completions"] == 1
    assert [office.version(one)["num_erased"] for one in (bench.first, office.second, office.third)] == [1, 1, 1]
    assert "question 9," not in office.everything_kept()


def test_a_worker_that_lost_its_lease_changes_nothing_and_takes_nothing_away(office: Office) -> None:
    bench, blobs = office.bench, office.bench.context.backends.blobs
    found = office.search("question 9")
    office.confirm(found)
    with bench.context.database.session(SYSTEM) as session:
        stale = jobs.claim(session, queue_name=QueueName.IO, worker_id="w-old", lease_s=60)
        assert stale is not None
        jobs.kill(session, job_id=stale.job_id)
        session.execute(text("update jobs set not_before = null"))
    before, num_stored = sorted(blobs.keys(f"workspaces/{bench.workspace_id}/")), bench.num_stored()
    task.run(bench.context, stale)
    assert (office.look(found)["status"], bench.num_stored()) == ("erasing", num_stored)
    assert sorted(blobs.keys(f"workspaces/{bench.workspace_id}/")) == before
    assert work_once(bench.context, QueueName.IO)
    after = sorted(blobs.keys(f"workspaces/{bench.workspace_id}/"))
    task.run(bench.context, stale)
    assert office.look(found)["status"] == "erased"
    assert sorted(blobs.keys(f"workspaces/{bench.workspace_id}/")) == after
    assert isinstance(blobs, S3BlobStore)
