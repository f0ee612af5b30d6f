"""The whole way of a version: API, job, a real child process, rows in Postgres, rows on the wire."""

import csv
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from core.backends.registry import Backends
from core.base_models import service as base_models
from core.datasets import ingest
from core.datasets import service as datasets
from core.datasets.types import Split
from core.db.session import SYSTEM, Database, workspace_scope
from core.errors import Conflict
from core.jobs import service as jobs
from core.jobs.kinds import QueueName
from core.jobs.models import Job
from core.jobs.states import Blame, JobState
from core.jobs.types import Lease
from tests.assets.bad_files import GOOD_CSV
from tests.conftest import Headers
from tests.factories.tokenizer import put_tokenizer
from tests.factories.training import put_base_model_on_disk
from worker.app import work_once
from worker.context import WorkContext
from worker.tasks import datasets as task

pytestmark = pytest.mark.stack

OTHERS = [(f"other {letter}", "no") for letter in "abcdefghjlm"]
MANY = b"question,answer\n" + b"".join(b"question %d,answer %d\n" % (number, number) for number in range(4500))

Make = Callable[[bytes], dict[str, Any]]


@pytest.fixture
def ready_context(context: WorkContext) -> WorkContext:
    put_tokenizer(base_models.folder(context.settings, put_base_model_on_disk(context.settings)))
    return context


@pytest.fixture
def make(client: TestClient, as_member: Headers) -> Make:
    def _make(content: bytes) -> dict[str, Any]:
        file = client.post("/v1/files", headers=as_member, files={"file": ("rows.csv", content)}).json()
        made = client.post("/v1/datasets", headers=as_member, json={"file_id": file["id"]}).json()
        version: dict[str, Any] = made["latest_version"]
        return version

    return _make


def num_rows(database: Database, version_id: str) -> int:
    with database.session(SYSTEM) as session:
        found: int = session.execute(
            text("select count(*) from rows where reading_id = :id"), {"id": version_id}
        ).scalar_one()
        return found


def look(client: TestClient, headers: Headers, version: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/dataset_versions/{version['id']}", headers=headers).json()
    return found


class TestAGoodFile:
    def test_becomes_a_version_with_all_its_rows(
        self, make: Make, ready_context: WorkContext, client: TestClient, as_member: Headers, workspace_id: str
    ) -> None:
        version = make(MANY)
        assert work_once(ready_context, QueueName.IO)
        ready = look(client, as_member, version)
        assert (ready["status"], ready["progress"], ready["error"]) == ("ready", 1.0, None)
        assert (ready["num_rows"], ready["num_train"], ready["num_heldout"]) == (4500, 4050, 450)
        assert ready["num_tokens"] > 4500
        assert len(ready["content_sha256"]) == 64
        with ready_context.database.session(workspace_scope(workspace_id)) as session:
            train = list(
                datasets.stream_rows(session, workspace_id=workspace_id, version_id=version["id"], split=Split.TRAIN)
            )
            job = jobs.get(session, workspace_id=workspace_id, job_id=version["job_id"])
        assert len({row.number for row in train}) == 4050
        assert [row.number for row in train] == sorted(row.number for row in train)
        assert job.state is JobState.SUCCEEDED
        assert not (ready_context.settings.runs_dir / job.id).exists()

    def test_can_be_paged_filtered_and_searched(
        self, make: Make, ready_context: WorkContext, client: TestClient, as_viewer: Headers, as_stranger: Headers
    ) -> None:
        odd = b'"100% sure, says ""Ann_a""\n\xc3\xbcber",yes\n' + b"no answer,\n"
        url = f"/v1/dataset_versions/{make(GOOD_CSV + odd)['id']}/rows"
        early = client.get(url, headers=as_viewer)
        assert (early.status_code, early.json()["error"]["code"]) == (409, "dataset_not_ready")
        work_once(ready_context, QueueName.IO)

        def numbers(**params: str | int) -> list[int]:
            return [row["number"] for row in client.get(url, headers=as_viewer, params=params).json()["data"]]

        assert client.get(url).status_code == 401
        assert client.get(url, headers=as_stranger).status_code == 404
        first = client.get(url, headers=as_viewer, params={"limit": 9}).json()
        assert [row["number"] for row in first["data"]] == list(range(2, 11))
        assert numbers(after=first["last_id"], limit=100) == list(range(11, 16))
        assert numbers(filter="problems") == [15]
        assert len(numbers(filter="heldout")) == 1
        assert numbers(q='says "ANN_A"') == [14]
        assert numbers(q="ÜBER") == [14]
        assert numbers(q="0%") == [14]
        assert numbers(q="Ann.a") == []
        assert numbers(q="role") == []
        row = client.get(url, headers=as_viewer, params={"q": "100%"}).json()["data"][0]
        assert row["messages"][0] == {"role": "user", "content": '100% sure, says "Ann_a"\nüber'}
        assert client.get(url, headers=as_viewer, params={"filter": "odd"}).status_code == 400

    def test_are_found_in_any_case_of_any_alphabet(
        self, make: Make, ready_context: WorkContext, client: TestClient, as_viewer: Headers
    ) -> None:
        said = {
            "Straßen in \u0130stanbul": ["STRAßEN", "istanbul", "ISTANBUL", "\u0130STANBUL", "\u0130", "straßen in i"],
            "300 \u212a, ΩΜΕΓΑ und Öl": ["300 k", "300 \u212a", "ωμεγα", "ÖL", "und ö"],
            """C:\\new_a/b 5% 'x' "y"\tz""": ["c:\\new", "w_a/B", "5%", "'X'", '"y"\tz', "\\"],
        }
        written = StringIO()
        csv.writer(written).writerows([("question", "answer"), *((one, "yes") for one in said), *OTHERS])
        url = f"/v1/dataset_versions/{make(written.getvalue().encode())['id']}/rows"
        work_once(ready_context, QueueName.IO)

        def found(search: str) -> list[str]:
            rows = client.get(url, headers=as_viewer, params={"q": search}).json()["data"]
            return [row["messages"][0]["content"] for row in rows]

        for question, searches in said.items():
            for search in searches:
                assert found(search) == [question], search
        for search in ("5_", "5/", "istanbull", "kk", "_%", "%n"):
            assert found(search) == [], search

    def test_is_read_again_with_other_columns_as_another_version(
        self, make: Make, ready_context: WorkContext, client: TestClient, as_admin: Headers, as_viewer: Headers
    ) -> None:
        first = make(GOOD_CSV)
        url, body = (
            f"/v1/datasets/{first['dataset_id']}/versions",
            {"mapping": {"question": "answer", "answer": "question"}},
        )
        assert client.post(url, json=body).status_code == 401
        assert client.post(url, headers=as_viewer, json=body).status_code == 403
        second = client.post(url, headers=as_admin, json=body).json()
        assert second["number"] == 2
        assert work_once(ready_context, QueueName.IO)
        assert work_once(ready_context, QueueName.IO)
        one, two = look(client, as_admin, first), look(client, as_admin, second)
        assert (one["status"], two["status"]) == ("ready", "ready")
        assert one["content_sha256"] != two["content_sha256"]
        latest = client.get(f"/v1/datasets/{first['dataset_id']}", headers=as_admin).json()["latest_version"]
        assert latest == two

    def test_is_found_again_by_its_file(
        self, make: Make, ready_context: WorkContext, client: TestClient, as_member: Headers, workspace_id: str
    ) -> None:
        version = make(GOOD_CSV)
        file_id = client.get(f"/v1/datasets/{version['dataset_id']}", headers=as_member).json()["file_id"]
        with ready_context.database.session(workspace_scope(workspace_id)) as session:
            found = datasets.version_for_file(
                session, workspace_id=workspace_id, file_id=file_id, principal_user_id="user"
            )
            assert found.id == version["id"]
            with pytest.raises(Conflict):
                next(datasets.stream_rows(session, workspace_id=workspace_id, version_id=found.id, split=Split.TRAIN))


class TestABadEnd:
    def test_a_file_with_too_little_in_it_fails_its_version_and_says_why(
        self, make: Make, ready_context: WorkContext, client: TestClient, as_member: Headers, database: Database
    ) -> None:
        version = make(b"question,answer\n" + b"a,b\n" * 12)
        work_once(ready_context, QueueName.IO)
        failed = look(client, as_member, version)
        assert (failed["status"], failed["error"]["code"]) == ("failed", "rows_all_alike")
        assert num_rows(database, version["id"]) == 0
        with database.session(SYSTEM) as session:
            job = session.get_one(Job, version["job_id"])
        assert (job.state, job.blame) == (JobState.FAILED, Blame.USER_ERROR)
        rows = client.get(f"/v1/dataset_versions/{version['id']}/rows", headers=as_member)
        assert rows.json()["error"]["code"] == "dataset_not_ready"

    def test_a_stored_file_that_is_not_the_uploaded_one_is_given_up_in_its_own_words(
        self,
        make: Make,
        ready_context: WorkContext,
        backends: Backends,
        database: Database,
        client: TestClient,
        as_member: Headers,
    ) -> None:
        version = make(GOOD_CSV)
        with database.session(SYSTEM) as session:
            key = session.execute(text("select object_key from files")).scalar_one()
        backends.blobs.put_bytes(key, b"question,answer\nsomething,else\n")
        for _ in range(2):
            work_once(ready_context, QueueName.IO)
            with database.session(SYSTEM) as session:
                session.execute(text("update jobs set not_before = null"))
        failed = look(client, as_member, version)
        assert (failed["status"], failed["error"]["code"]) == ("failed", "file_corrupt")
        assert num_rows(database, version["id"]) == 0

    def test_where_the_base_model_cannot_be_had_the_job_waits_and_spends_no_attempt(
        self,
        make: Make,
        context: WorkContext,
        client: TestClient,
        as_member: Headers,
        database: Database,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("worker.app.fetch", lambda *_: False)
        version = make(GOOD_CSV)
        assert not work_once(context, QueueName.IO)
        assert look(client, as_member, version)["status"] == "validating"
        with database.session(SYSTEM) as session:
            job = session.get_one(Job, version["job_id"])
        assert (job.state, job.attempt, job.num_interruptions) == (JobState.QUEUED, 1, 1)

    def test_a_job_that_ends_without_its_worker_fails_its_version(
        self, make: Make, database: Database, client: TestClient, as_member: Headers
    ) -> None:
        version = make(GOOD_CSV)
        with database.session(SYSTEM) as session:
            task.settle(session, session.get_one(Job, version["job_id"]))
        failed = look(client, as_member, version)
        assert (failed["status"], failed["error"]["code"]) == ("failed", "ingest_cancelled")


class TestAZombie:
    """An attempt whose lease went to another can change nothing."""

    @pytest.fixture
    def leases(self, make: Make, ready_context: WorkContext) -> tuple[Lease, Lease]:
        make(MANY)

        def claim() -> Lease:
            with ready_context.database.session(SYSTEM) as session:
                lease = jobs.claim(session, queue_name=QueueName.IO, worker_id="w", lease_s=60)
            assert lease is not None
            return lease

        old = claim()
        with ready_context.database.session(SYSTEM) as session:
            jobs.requeue(session, old)
            session.execute(text("update jobs set not_before = null"))
        return old, claim()

    def test_its_rows_are_not_kept(
        self, leases: tuple[Lease, Lease], ready_context: WorkContext, workspace_id: str
    ) -> None:
        row = ingest.IngestedRow(number=2, split=Split.TRAIN, messages=[], num_tokens=1, problems=[])
        with pytest.raises(ingest.Fenced), ready_context.database.session(workspace_scope(workspace_id)) as session:
            ingest.insert_rows(session, leases[0], [row], lease_s=60)
        assert num_rows(ready_context.database, leases[0].payload["version_id"]) == 0

    def test_what_it_left_is_removed_by_the_next(
        self,
        leases: tuple[Lease, Lease],
        ready_context: WorkContext,
        workspace_id: str,
        client: TestClient,
        as_member: Headers,
    ) -> None:
        version_id = leases[1].payload["version_id"]
        leftover = ingest.IngestedRow(number=99_999, split=Split.TRAIN, messages=[], num_tokens=1, problems=[])
        with ready_context.database.session(workspace_scope(workspace_id)) as session:
            ingest.insert_rows(session, leases[1], [leftover], lease_s=60)
        task.run(ready_context, leases[1])
        assert num_rows(ready_context.database, version_id) == 4500
        assert look(client, as_member, {"id": version_id})["status"] == "ready"

    def test_it_cannot_publish_beside_the_other(
        self, leases: tuple[Lease, Lease], ready_context: WorkContext, backends: Backends
    ) -> None:
        task.run(ready_context, leases[1])
        task.run(ready_context, leases[0])
        assert num_rows(ready_context.database, leases[0].payload["version_id"]) == 4500
