"""A model taken away: a real trainer's adapter, a real worker, and what others make of the files."""

import json
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient
from peft import PeftModel
from sqlalchemy import text
from transformers import AutoModelForCausalLM

from core import cli
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.exports import signing
from core.jobs.kinds import QueueName
from core.kit.hashing import sha256_file
from core.kit.sealing import Sealer
from core.sealed_secrets import reseal
from core.workers import service as workers
from core.workspaces.principal import Principal
from tests.conftest import Headers
from tests.worker.tasks.packing_bench import Packing, make_trained
from worker.context import WorkContext
from worker.tasks.sweeping import sweep_exports

pytestmark = pytest.mark.stack

IDS = torch.tensor([[1, 40, 41, 42, 43, 44, 45, 46]])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="module")
def trained(root: Path) -> Path:
    torch.set_num_threads(1)
    return make_trained(root)


@pytest.fixture
def packing(
    context: WorkContext, client: TestClient, as_member: Headers, principal: Principal, root: Path, trained: Path
) -> Packing:
    return Packing(context, client, as_member, principal, root / "home")


def logits(base: Path, adapter: Path) -> torch.Tensor:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", FutureWarning)  # peft reads what transformers renamed
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), str(adapter))
        found: torch.Tensor = model(input_ids=IDS).logits
        return found


def verified(folder: Path, settings: Settings, client: TestClient, *options: str) -> int:
    del settings
    key = client.get("/v1/signing_key").json()["public_key"]
    return cli.main(["verify", str(folder), "--key", key, *options])


def test_plain_peft_loads_what_was_taken_away_and_the_manifest_says_all_that_is_known(
    packing: Packing, trained: Path, tmp_path: Path, as_admin: Headers
) -> None:
    model = packing.enter(trained)
    folder = packing.packed(model, tmp_path / "out")
    base = packing.plain_base(tmp_path / "base")
    torch.testing.assert_close(logits(base, folder), logits(base, trained / "adapter"), rtol=0, atol=0)

    told = json.loads((folder / "manifest.json").read_text())
    trainers_own = json.loads((trained / "adapter" / "manifest.json").read_text())
    assert told["template_sha256"] == trainers_own["chat_template_sha256"]
    assert len(told["base_model"]["weights_sha256"]) == 64
    assert (told["data"]["sha256"], told["data"]["num_train"]) == ("c" * 64, 90)
    assert told["recipe"]["spec"]["method"]["type"] == "lora"
    assert told["evaluation"]["tuned_heldout_loss"] == 1.5
    assert told["people"]["made_by"] == packing.principal.display_name
    assert set(told["files"]) == {"README.md", "adapter_config.json", "adapter_model.safetensors", "parity.safetensors"}
    assert all(entry["sha256"] == sha256_file(folder / name) for name, entry in told["files"].items())
    card = (folder / "README.md").read_text()
    assert "90 examples to learn from" in card
    assert "What it does with other questions is not known" in card
    assert str(packing.context.settings.home) not in "".join(path.read_text() for path in folder.glob("*.json"))

    actions = packing.client.get("/v1/audit_events?action=model_export.*", headers=as_admin).json()["data"]
    assert [event["action"] for event in actions] == ["model_export.downloaded", "model_export.created"]
    [entry] = packing.ledger()
    assert (entry.kind, entry.model, entry.seconds > 0) == ("export", model, True)
    assert list(packing.context.settings.runs_dir.iterdir()) == []


def test_the_whole_model_is_packed_in_a_process_of_its_own_and_says_how_far_it_is_from_what_is_served(
    packing: Packing, trained: Path, tmp_path: Path
) -> None:
    model = packing.enter(trained)
    folder = packing.packed(model, tmp_path / "out", "merged")
    found = AutoModelForCausalLM.from_pretrained(folder)(input_ids=IDS).logits.detach()
    torch.testing.assert_close(found, logits(packing.base, trained / "adapter"), rtol=1e-4, atol=1e-4)
    told = json.loads((folder / "manifest.json").read_text())
    [export] = packing.client.get(f"/v1/model_exports?model={model}", headers=packing.headers).json()["data"]
    assert told["report"]["merge"] == export["merge"]
    assert (export["merge"]["prompts"], export["merge"]["num_prompts"]) == ("heldout", 10)
    assert export["merge"]["max_difference"] < 1e-3
    assert len(told["template_sha256"]) == len(told["base_model"]["weights_sha256"]) == 64
    assert "Largest difference of a score" in (folder / "README.md").read_text()


def test_what_cannot_be_had_is_told_before_and_refused_after(packing: Packing, trained: Path) -> None:
    model = packing.enter(trained)
    with packing.context.database.session(SYSTEM) as session:
        session.execute(text("update adapters set method = 'prompt_tuning'"))
    url = f"/v1/model_exports/choices/{model}"
    reasons = {one["format"]: one["reason"] for one in packing.client.get(url, headers=packing.headers).json()["data"]}
    assert reasons["adapter"] is None
    assert "changed no weight" in reasons["merged"]
    refused = packing.ask(model, "gguf")
    assert (refused["status_code"], refused["error"]["code"]) == (400, "export_not_possible")
    assert refused["error"]["message"] == reasons["gguf"]


def test_whatever_is_changed_in_the_folder_is_found(
    packing: Packing, trained: Path, tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = packing.packed(packing.enter(trained), tmp_path / "out")
    assert verified(folder, settings, packing.client) == 0
    assert "Whole, and signed with the key" in capsys.readouterr().out

    (folder / "modeling.py").write_text("print('owned')")
    assert verified(folder, settings, packing.client) == 1
    assert "was put there later" in capsys.readouterr().err
    (folder / "modeling.py").unlink()

    weights = folder / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert verified(folder, settings, packing.client) == 1
    assert "is not the file that was signed" in capsys.readouterr().err

    # whoever changes a file can change its digest too, but not the signature
    told = json.loads((folder / "manifest.json").read_text())
    told["files"][weights.name]["sha256"] = sha256_file(weights)
    (folder / "manifest.json").write_text(json.dumps(told))
    assert verified(folder, settings, packing.client) == 1
    assert "was changed after it was signed" in capsys.readouterr().err

    # nor is a key of one's own the installation's
    stranger = Sealer.of_settings("", "another secret")
    with packing.context.database.session(SYSTEM) as session:
        ours = signing.signer(session, sealer=settings.sealer())
        session.execute(text("delete from signing_keys"))
        theirs = signing.signer(session, sealer=stranger)
    (folder / "manifest.sig").write_bytes(theirs.signature_file((folder / "manifest.json").read_bytes()))
    assert cli.main(["verify", str(folder), "--key", ours.public_key]) == 1
    assert "was signed with another key" in capsys.readouterr().err
    assert cli.main(["verify", str(tmp_path), "--key", ours.public_key]) == 1
    assert "is no unpacked export" in capsys.readouterr().err


def test_one_file_of_it_can_be_fetched_and_nobody_elses_right_is_enough(
    packing: Packing, trained: Path, as_viewer: Headers, as_stranger: Headers
) -> None:
    asked = packing.ask(packing.enter(trained))
    url = f"/v1/model_exports/{asked['id']}"
    early = packing.client.get(f"{url}/content", headers=packing.headers)
    assert (early.status_code, early.json()["error"]["code"]) == (409, "model_export_not_ready")
    packing.work()
    config = packing.client.get(f"{url}/content?file=adapter_config.json", headers=packing.headers)
    assert config.json()["base_model_name_or_path"] == "smollm2-135m-instruct"
    assert packing.client.get(f"{url}/content?file=../secret", headers=packing.headers).status_code == 404
    assert packing.client.get(f"{url}/content", headers=as_viewer).status_code == 403
    assert packing.client.get(url, headers=as_viewer).status_code == 200
    assert packing.client.get(f"{url}/content", headers=as_stranger).status_code == 404
    assert packing.client.get("/v1/model_exports?model=ft:none", headers=packing.headers).status_code == 404


def test_after_its_time_the_files_are_gone_and_the_record_stays(packing: Packing, trained: Path) -> None:
    model = packing.enter(trained)
    asked = packing.ask(model)
    packing.work()
    blobs = packing.context.backends.blobs
    prefix = f"workspaces/{packing.principal.workspace_id}/exports/"
    assert sweep_exports(packing.context.database, blobs) == 0
    assert len(blobs.keys(prefix)) == 6
    with packing.context.database.session(SYSTEM) as session:
        session.execute(text("update model_exports set expires_at = now() - interval '1 second'"))
    gone = packing.client.get(f"/v1/model_exports/{asked['id']}/content", headers=packing.headers)
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "model_export_expired")
    assert sweep_exports(packing.context.database, blobs) == 1
    assert sweep_exports(packing.context.database, blobs) == 0
    assert blobs.keys(prefix) == []
    assert packing.look(asked["id"])["is_expired"]
    assert packing.ask(model)["status_code"] == 200


def test_of_a_deleted_model_nothing_is_fetched_until_it_is_back(packing: Packing, trained: Path) -> None:
    model = packing.enter(trained)
    asked = packing.ask(model)
    packing.work()
    content = f"/v1/model_exports/{asked['id']}/content"
    assert packing.client.delete(f"/v1/models/{model}", headers=packing.headers).status_code == 200
    refused = packing.client.get(content, headers=packing.headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    assert packing.client.post(f"/v1/models/{model}/restore", headers=packing.headers).status_code == 200
    assert packing.client.get(content, headers=packing.headers).status_code == 200


def test_one_at_a_time_and_a_waiting_one_is_cancelled_at_once(packing: Packing, trained: Path) -> None:
    model = packing.enter(trained)
    first = packing.ask(model)
    again = packing.ask(model)
    assert (again["status_code"], again["error"]["code"]) == (409, "model_export_in_progress")
    url = f"/v1/model_exports/{first['id']}/cancel"
    assert packing.client.post(url, headers=packing.headers).json()["status"] == "cancelled"
    assert packing.client.post(url, headers=packing.headers).json()["status"] == "cancelled"
    second = packing.ask(model)
    listed = packing.client.get(f"/v1/model_exports?model={model}", headers=packing.headers).json()["data"]
    assert [one["id"] for one in listed] == [second["id"], first["id"]]
    assert packing.ledger() == []


def test_whoever_goes_on_with_it_packs_the_same(packing: Packing, trained: Path, tmp_path: Path) -> None:
    asked = packing.ask(packing.enter(trained))
    stopping = threading.Event()
    stopping.set()
    packing.context = replace(packing.context, stopping=stopping)
    packing.work()
    assert packing.look(asked["id"])["status"] == "queued"
    packing.context = replace(packing.context, stopping=threading.Event())
    packing.work()
    done = packing.look(asked["id"])
    assert (done["status"], done["waits_for"]) == ("succeeded", None)
    assert (packing.fetched(asked["id"], tmp_path / "out") / "adapter_model.safetensors").exists()


def test_a_model_that_came_back_damaged_is_not_packed_and_what_it_waits_for_is_told(
    packing: Packing, trained: Path, backends: Backends, database: Database
) -> None:
    asked = packing.ask(packing.enter(trained))
    assert asked["waits_for"]["reason"] == "no_worker"
    with database.session(SYSTEM) as session:
        workers.beat(session, worker_id="w", hostname="h", queue_name=QueueName.IO, pid=1, version="0")
    assert packing.look(asked["id"])["waits_for"]["reason"] == "start"
    runs = f"workspaces/{packing.principal.workspace_id}/runs/"
    [key] = [key for key in backends.blobs.keys(runs) if key.endswith("/adapter_model.safetensors")]
    backends.blobs.put_bytes(key, b"something else")
    packing.work()
    found = packing.look(asked["id"])
    assert (found["status"], found["files"]) == ("queued", [])
    listed = packing.client.get("/v1/model_exports", headers=packing.headers).json()["data"]
    for told in (found, listed[0]):
        assert told["waits_for"]["reason"] == "retry"
        assert told["waits_for"]["message"].startswith("Try 1 failed. The trained model did not arrive whole")
        assert told["waits_for"]["until"] is not None


def test_a_machine_that_cannot_open_the_key_says_so(packing: Packing, trained: Path) -> None:
    asked = packing.ask(packing.enter(trained))
    elsewhere = packing.context.settings.model_copy(update={"secret_key": "another secret, which opens nothing here"})
    packing.context = replace(packing.context, settings=elsewhere)
    packing.work()
    found = packing.look(asked["id"])
    assert (found["status"], found["error"]["code"]) == ("failed", "signing_key_lost")


def test_the_key_stays_when_secrets_are_sealed_anew(packing: Packing, settings: Settings) -> None:
    before = packing.client.get("/v1/signing_key").json()
    new = Sealer({"new": b"k" * 32, **settings.sealer().keys})
    with packing.context.database.session(SYSTEM) as session:
        assert reseal(session, sealer=new)["keys that manifests are signed with"] == 1
        assert reseal(session, sealer=new)["keys that manifests are signed with"] == 0
        assert signing.signer(session, sealer=Sealer({"new": b"k" * 32})).public_key == before["public_key"]
    assert packing.client.get("/v1/signing_key").json() == before
