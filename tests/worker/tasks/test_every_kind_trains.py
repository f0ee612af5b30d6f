"""From a file of each kind to a tuned model: upload, ingest, plan, the real trainer, the registry."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient

from core.db.session import workspace_scope
from core.jobs.kinds import QueueName
from core.training import service as training
from core.workspaces.principal import Principal
from tests.conftest import Headers
from tests.factories.training import put_base_model_on_disk
from tests.worker.tasks.test_real_trainer import put_model_in
from tests.worker.training.conftest import base_model_dir
from worker.app import work_once
from worker.context import WorkContext

__all__ = ["base_model_dir"]  # a fixture

pytestmark = pytest.mark.stack


def chat(number: int) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": f"What is {number}?"},
            {"role": "assistant", "content": "Let me think.", "weight": 0},
            {"role": "user", "content": "And?"},
            {"role": "assistant", "content": f"{number} is a number.", "weight": 0.5},
        ]
    }


def preference(number: int) -> dict[str, Any]:
    return {"prompt": f"What is {number}?", "chosen": f"{number} is a number.", "rejected": f"No idea about {number}."}


def words(number: int) -> dict[str, Any]:
    return {"text": f"Chapter {number}. Whoever counts comes to {number} sooner or later."}


@pytest.mark.parametrize(
    ("line", "method", "adapter"),
    [
        (chat, "supervised", {"type": "lora_plus", "rank": 4, "quantization": "none"}),
        (preference, "dpo", {"type": "lora", "rank": 4}),
        (words, "continued_pretraining", {"type": "full"}),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", None) or value["type"],
)
def test_a_file_becomes_a_tuned_model(
    client: TestClient,
    as_member: Headers,
    context: WorkContext,
    principal: Principal,
    base_model_dir: Path,
    tmp_path: Path,
    line: Any,  # noqa: ANN401 - a function
    method: str,
    adapter: dict[str, Any],
) -> None:
    model = put_base_model_on_disk(context.settings)
    put_model_in(context.settings, base_model_dir)
    context = replace(context, settings=context.settings.model_copy(update={"checkpoint_every_s": 600.0}))
    content = b"".join(orjson.dumps(line(number)) + b"\n" for number in range(20))
    file = client.post("/v1/files", headers=as_member, files={"file": ("rows.jsonl", content)}).json()
    body = {
        "model": model,
        "training_file": file["id"],
        "method": {"type": method, method: {"hyperparameters": {"n_epochs": 1, "batch_size": 4}}},
        "adapter": adapter,
        "training": {"max_length_tokens": 128, "max_heldout_rows": 2},
        "seed": 7,
    }
    made = client.post("/v1/fine_tuning/jobs", headers=as_member, json=body).json()
    assert work_once(context, QueueName.IO)
    assert work_once(context, QueueName.CPU)
    job = client.get(f"/v1/fine_tuning/jobs/{made['id']}", headers=as_member).json()
    assert job["status"] == "succeeded", job["error"]
    assert job["results"]["steps"] == job["results"]["planned_steps"] > 0
    assert job["tuned_heldout_loss"] is not None
    with context.database.session(workspace_scope(principal.workspace_id)) as session:
        found = training.get(session, workspace_id=principal.workspace_id, run_id=made["id"]).adapter
    assert found is not None
    assert found.method == adapter["type"]
    names = {entry["name"] for entry in found.files}
    assert ("model.safetensors" if adapter["type"] == "full" else "adapter_model.safetensors") in names
