"""A model made elsewhere through its whole life: the real api, a real worker, the real runtime."""

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from safetensors.torch import load_file, save_file
from sqlalchemy import text

from api.main import create_app
from core.backends.registry import Backends
from core.base_models import service as base_models
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.errors import Unavailable
from core.inference.client import InferenceClient
from core.jobs.kinds import QueueName
from core.workspaces.principal import Principal
from tests.conftest import Headers
from tests.factories.live_api import serving
from tests.factories.waiting import eventually
from tests.worker.inference.tiny_models import make_adapter, make_home
from tests.worker.tasks.packing_bench import Packing, make_trained
from worker.app import work_once
from worker.context import WorkContext
from worker.inference import server
from worker.inference.service import InferenceService
from worker.tasks.sweeping import sweep_imports

pytestmark = pytest.mark.stack

BASE = base_models.default_base_model().id
QUESTION = {"messages": [{"role": "user", "content": "What is 2 + 2?"}], "temperature": 0, "max_tokens": 12}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("elsewhere")
    make_home(root / "home")
    return root


@pytest.fixture(scope="module")
def theirs(root: Path) -> Path:
    return make_adapter(root / "home" / "base_models" / BASE, root / "theirs", seed=5)


@pytest.fixture(scope="module")
def runtime_url(root: Path) -> Iterator[str]:
    settings = Settings(home=root / "home", inference_token="a token for tests")
    service = InferenceService(settings)
    with serving(server.create_app(settings, service)) as url:
        client = InferenceClient(settings.model_copy(update={"inference_url": url}))
        eventually(lambda: is_ready(client))
        client.close()
        yield url


def is_ready(client: InferenceClient) -> bool:
    try:
        return client.health().status == "ready"
    except Unavailable:
        return False


@pytest.fixture
def reachable(settings: Settings, runtime_url: str) -> Settings:
    return settings.model_copy(update={"inference_url": runtime_url})


@pytest.fixture
def inference(reachable: Settings) -> Iterator[InferenceClient]:
    client = InferenceClient(reachable)
    yield client
    client.close()


@pytest.fixture
def app(reachable: Settings, database: Database, backends: Backends, inference: InferenceClient) -> FastAPI:
    return create_app(reachable, database, backends, inference)


class Bringing:
    def __init__(self, context: WorkContext, client: TestClient, headers: Headers) -> None:
        self.context, self.client, self.headers = context, client, headers

    def upload(self, path: Path) -> str:
        answer = self.client.post(
            "/v1/files",
            headers=self.headers,
            data={"purpose": "user_data"},
            files={"file": (path.name, path.read_bytes())},
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def ask(self, *paths: Path, **changes: object) -> Any:  # noqa: ANN401 - a response
        file_ids = [self.upload(path) for path in paths]
        body = {"file_ids": file_ids, "name": "Made elsewhere", "base_model": BASE, "confirm_base": True}
        return self.client.post("/v1/model_imports", headers=self.headers, json=body | changes)

    def work(self) -> None:
        assert work_once(self.context, QueueName.IO)

    def look(self, import_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"/v1/model_imports/{import_id}", headers=self.headers).json()
        return found

    def brought(self, *paths: Path, **changes: object) -> dict[str, Any]:
        asked = self.ask(*paths, **changes)
        assert asked.status_code == 200, asked.text
        self.work()
        return self.look(asked.json()["id"])

    def model(self, model_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"/v1/models/{model_id}", headers=self.headers).json()
        return found

    def says(self, model: str, **headers: str) -> str:
        answer = self.client.post(
            "/v1/chat/completions", headers=headers or self.headers, json=QUESTION | {"model": model}
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["choices"][0]["message"]["content"])


@pytest.fixture
def bringing(context: WorkContext, client: TestClient, as_member: Headers, reachable: Settings, root: Path) -> Bringing:
    context.settings.home.mkdir(parents=True, exist_ok=True)
    (context.settings.home / "base_models").symlink_to(root / "home" / "base_models")
    settings = context.settings.model_copy(update={"inference_url": reachable.inference_url})
    return Bringing(replace(context, settings=settings), client, as_member)


def files_of(theirs: Path) -> list[Path]:
    return [theirs / "adapter_config.json", theirs / "adapter_model.safetensors"]


def test_from_files_to_an_answer_that_the_base_would_not_give(
    bringing: Bringing, theirs: Path, as_admin: Headers, as_stranger: Headers, other_workspace_id: str
) -> None:
    done = bringing.brought(*files_of(theirs))
    assert done["status"] == "succeeded", done
    model = bringing.model(done["model"])
    assert (model["origin"], model["run_id"], model["is_shared"], model["method"]) == ("imported", None, False, "lora")
    assert (model["proof_status"], model["is_ready"]) == ("passed", True)
    assert model["proof"]["effect"] > 0.1
    assert model["imported"]["by"].startswith("member")
    assert model["imported"]["filenames"] == ["adapter_config.json", "adapter_model.safetensors"]
    assert model["imported"]["base_evidence"] == "confirmed"

    # talked to, as any other; what it costs is entered under its name
    assert bringing.says(done["model"]) != bringing.says(BASE)
    entries = bringing.client.get("/v1/usage/entries", headers=as_admin).json()["data"]
    assert done["model"] in {entry["model"] for entry in entries}

    # under a stable name, and for another workspace, which is not told where it came from
    made = bringing.client.post(
        "/v1/aliases", headers=bringing.headers, json={"name": "helper", "model": done["model"]}
    )
    assert made.status_code == 200, made.text
    assert bringing.says("helper") == bringing.says(done["model"])
    url = f"/v1/fine_tuning/checkpoints/{done['model']}/permissions"
    shared = bringing.client.post(url, headers=as_admin, json={"project_ids": [other_workspace_id]})
    assert shared.status_code == 200, shared.text
    seen = bringing.client.get(f"/v1/models/{done['model']}", headers=as_stranger).json()
    assert (seen["is_shared"], seen["origin"], seen["imported"]) == (True, None, None)
    assert bringing.says(done["model"], **as_stranger) == bringing.says(done["model"])

    events = bringing.client.get("/v1/audit_events?limit=100", headers=as_admin).json()["data"]
    found = {event["action"]: event for event in events}
    assert found["model.imported"]["target_id"] == done["model"]
    assert found["model.imported"]["actor"]["name"] == model["imported"]["by"]
    assert found["model_import.created"]["target_id"] == done["id"]
    assert list(bringing.context.settings.runs_dir.iterdir()) == []

    # deleted and brought back
    alias = bringing.client.delete("/v1/aliases/helper", headers=bringing.headers)
    assert alias.status_code == 200, alias.text
    assert bringing.client.delete(f"/v1/models/{done['model']}", headers=bringing.headers).status_code == 200
    assert bringing.client.get(f"/v1/models/{done['model']}", headers=bringing.headers).status_code == 404
    assert bringing.client.post(f"/v1/models/{done['model']}/restore", headers=bringing.headers).status_code == 200


def test_an_export_of_ours_comes_back_without_anybody_confirming_its_base(
    bringing: Bringing, client: TestClient, as_member: Headers, tmp_path: Path
) -> None:
    base = bringing.context.settings.base_models_dir / BASE
    done = bringing.brought(*files_of(make_adapter(base, tmp_path / "made", seed=6, dora=True)))
    asked = client.post("/v1/model_exports", headers=as_member, json={"model": done["model"], "format": "adapter"})
    assert asked.status_code == 200, asked.text
    bringing.work()
    content = client.get(f"/v1/model_exports/{asked.json()['id']}/content", headers=as_member)
    assert content.status_code == 200, content.text
    archive = tmp_path / "export.zip"
    archive.write_bytes(content.content)
    shutil.unpack_archive(archive, tmp_path / "out")
    [folder] = (tmp_path / "out").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["model"]["origin"], manifest["data"], manifest["recipe"]) == ("imported", None, None)
    card = (folder / "README.md").read_text()
    assert "made elsewhere and brought to Tailorbird" in card
    assert "Nobody here knows what it was trained on." in card

    again = bringing.brought(archive, confirm_base=False)
    assert again["status"] == "succeeded", again
    model = bringing.model(again["model"])
    assert (model["imported"]["base_evidence"], model["proof_status"]) == ("manifest", "passed")
    assert bringing.says(again["model"]) == bringing.says(done["model"])


def test_what_a_trainer_of_ours_made_is_brought_to_another_installation(
    context: WorkContext,
    client: TestClient,
    as_member: Headers,
    principal: Principal,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("trained")
    trained = make_trained(root, method={"type": "rslora", "rank": 4})
    bench = Packing(context, client, as_member, principal, root / "home")
    folder = bench.packed(bench.enter(trained), tmp_path / "out")
    bringing = Bringing(context, client, as_member)
    done = bringing.brought(*files_of(folder), folder / "manifest.json", confirm_base=False)
    assert done["status"] == "succeeded", done
    model = bringing.model(done["model"])
    assert (model["method"], model["imported"]["base_evidence"]) == ("rslora", "manifest")
    # this worker reaches no runtime: it is proved before its first answer
    assert model["proof_status"] == "pending"


def test_an_adapter_that_changes_nothing_is_entered_and_answers_nobody(
    bringing: Bringing, root: Path, tmp_path: Path
) -> None:
    folder = make_adapter(root / "home" / "base_models" / BASE, tmp_path / "null", seed=7)
    weights = load_file(folder / "adapter_model.safetensors")
    save_file({name: one * ("lora_A" in name) for name, one in weights.items()}, folder / "adapter_model.safetensors")
    done = bringing.brought(*files_of(folder))
    assert done["status"] == "succeeded", done
    model = bringing.model(done["model"])
    assert (model["proof_status"], model["is_ready"], model["proof"]["code"]) == ("failed", False, "proof_no_effect")
    answer = bringing.client.post(
        "/v1/chat/completions", headers=bringing.headers, json=QUESTION | {"model": done["model"]}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "model_proof_failed")


def test_what_is_refused_says_why_and_leaves_nothing(bringing: Bringing, theirs: Path) -> None:
    done = bringing.brought(*files_of(theirs), confirm_base=False)
    assert (done["status"], done["model"]) == ("failed", None)
    assert done["error"]["code"] == "base_not_confirmed"
    models = bringing.client.get("/v1/models", headers=bringing.headers).json()["data"]
    assert all(model["kind"] != "tuned" for model in models)


class TestAsked:
    def test_pickles_are_refused_at_once(self, bringing: Bringing, theirs: Path, tmp_path: Path) -> None:
        pickle = tmp_path / "adapter_model.bin"
        pickle.write_bytes(b"\x80\x04.")
        answer = bringing.ask(theirs / "adapter_config.json", pickle)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "pickle_refused")

    def test_files_of_another_workspace_are_not_there(
        self, bringing: Bringing, theirs: Path, client: TestClient, as_stranger: Headers
    ) -> None:
        others = Bringing(bringing.context, client, as_stranger)
        file_ids = [others.upload(path) for path in files_of(theirs)]
        answer = bringing.ask(file_ids=file_ids)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "file_not_found")

    def test_who_may_not_train_may_not_bring(self, bringing: Bringing, theirs: Path, as_viewer: Headers) -> None:
        file_ids = [bringing.upload(path) for path in files_of(theirs)]
        body = {"file_ids": file_ids, "name": "No", "base_model": BASE}
        assert bringing.client.post("/v1/model_imports", headers=as_viewer, json=body).status_code == 403

    def test_an_unknown_base_is_not_there(self, bringing: Bringing, theirs: Path) -> None:
        answer = bringing.ask(*files_of(theirs), base_model="no-such-base")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")

    def test_there_must_be_room_for_the_weights_beside_those_brought_before(
        self, bringing: Bringing, theirs: Path, database: Database, workspace_id: str
    ) -> None:
        assert bringing.brought(*files_of(theirs))["status"] == "succeeded"
        with database.session(SYSTEM) as session:
            kept = session.scalar(
                text("select sum(num_bytes) from files where workspace_id = :id"), {"id": workspace_id}
            )
            session.execute(
                text("update workspaces set max_stored_bytes = :most where id = :id"),
                {"most": int(kept or 0) * 2 + 1000, "id": workspace_id},
            )
        answer = bringing.ask(*files_of(theirs))
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "storage_quota_exceeded")

    def test_a_file_deleted_before_it_is_read_ends_it_in_words(self, bringing: Bringing, theirs: Path) -> None:
        asked = bringing.ask(*files_of(theirs)).json()
        bringing.client.delete(f"/v1/files/{asked['files'][1]['id']}", headers=bringing.headers)
        bringing.work()
        done = bringing.look(asked["id"])
        assert (done["status"], done["error"]["code"]) == ("failed", "file_not_found")
        assert "adapter_model.safetensors was deleted" in done["error"]["message"]


def test_a_waiting_one_is_cancelled_at_once_and_one_that_is_over_is_not(bringing: Bringing, theirs: Path) -> None:
    asked = bringing.ask(*files_of(theirs)).json()
    url = f"/v1/model_imports/{asked['id']}/cancel"
    assert bringing.client.post(url, headers=bringing.headers).json()["status"] == "cancelled"
    done = bringing.brought(*files_of(theirs))
    again = bringing.client.post(f"/v1/model_imports/{done['id']}/cancel", headers=bringing.headers)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "job_state_conflict")
    listed = bringing.client.get("/v1/model_imports", headers=bringing.headers).json()["data"]
    assert [one["id"] for one in listed] == [done["id"], asked["id"]]


def test_whoever_goes_on_with_it_brings_the_same_and_what_came_to_nothing_is_swept(
    bringing: Bringing, theirs: Path, workspace_id: str
) -> None:
    context = bringing.context
    asked = bringing.ask(*files_of(theirs)).json()
    stopping = threading.Event()
    stopping.set()
    bringing.context = replace(context, stopping=stopping)
    bringing.work()
    given_back = bringing.look(asked["id"])
    assert (given_back["status"], given_back["waits_for"]["reason"]) == ("queued", "no_worker")
    bringing.context = context
    bringing.work()
    done = bringing.look(asked["id"])
    assert done["status"] == "succeeded"
    blobs, prefix = context.backends.blobs, f"workspaces/{workspace_id}/imports/"
    failed = bringing.brought(*files_of(theirs), confirm_base=False)
    blobs.put_bytes(f"{prefix}{failed['id']}/a1/left.json", b"{}")
    num_kept = len(blobs.keys(f"{prefix}{done['id']}/"))
    assert sweep_imports(context.database, blobs) == 1
    assert sweep_imports(context.database, blobs) == 0
    assert blobs.keys(f"{prefix}{failed['id']}/") == []
    assert len(blobs.keys(f"{prefix}{done['id']}/")) == num_kept == 4
