"""The main job by the unmodified `openai` client for JavaScript, against the whole running product."""

import json
from typing import Any

import pytest

from core.stack.up import RunningStack
from tests.factories import documented_code
from tests.factories.documented_code import NODE, NODE_CLIENT

pytestmark = [pytest.mark.e2e, pytest.mark.model, pytest.mark.timeout(1500)]

BASE_MODEL = "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def seen(stack: RunningStack, api_key: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program saw in the whole life of its job."""
    assert (NODE_CLIENT / "node_modules" / "openai").is_dir(), "run `make node-client`"
    environment = {"OPENAI_BASE_URL": f"{stack.base_url}/v1", "OPENAI_API_KEY": api_key}
    command = [str(NODE), str(NODE_CLIENT / "life_of_a_job.mjs")]
    said = documented_code.execute(command, tmp_path_factory.mktemp("node"), environment)
    found: dict[str, Any] = json.loads(said)
    return found


def test_a_file_becomes_a_model(seen: dict[str, Any]) -> None:
    job = seen["job"]
    assert seen["file"]["status"] == "processed"
    assert seen["created"] == {"id": job["id"], "status": "validating_files", "seed": 11}
    assert (job["status"], job["error"]) == ("succeeded", None)
    assert job["fine_tuned_model"].startswith(f"ft:{BASE_MODEL}:")
    assert ":node:" in job["fine_tuned_model"]
    assert job["trained_tokens"] > 0
    assert seen["listed"] == [job["id"]]
    assert (seen["model"]["id"], seen["model"]["object"]) == (job["fine_tuned_model"], "model")


def test_events_page_by_themselves_and_none_is_lost(seen: dict[str, Any]) -> None:
    assert seen["pagedAsWhole"] is True
    assert seen["events"][0] == f"Created fine-tuning job: {seen['job']['id']}"
    assert seen["events"][-2:] == [
        f"New fine-tuned model created: {seen['job']['fine_tuned_model']}",
        "The job has successfully completed",
    ]


def test_checkpoints_have_the_fields_of_the_wire(seen: dict[str, Any]) -> None:
    assert seen["checkpoints"]
    for checkpoint in seen["checkpoints"]:
        assert checkpoint["object"] == "fine_tuning.job.checkpoint"
        assert checkpoint["fine_tuning_job_id"] == seen["job"]["id"]
        assert checkpoint["step_number"] == checkpoint["metrics"]["step"]


@pytest.mark.parametrize("which", ["base", "tuned"])
def test_an_answer_is_the_same_whole_and_in_pieces(seen: dict[str, Any], which: str) -> None:
    chat = seen["chat"][which]
    assert chat["whole"]
    assert chat["whole"] == chat["streamed"] == chat["gathered"]
    assert chat["finish"] in {"stop", "length"}
    assert chat["usage"][0] == chat["usage"][1] > 0


@pytest.mark.parametrize(
    ("which", "name", "status", "code", "param"),
    [
        ("key", "AuthenticationError", 401, "invalid_api_key", None),
        ("model", "NotFoundError", 404, "model_not_found", "model"),
        ("method", "BadRequestError", 400, "unsupported_method", "method.type"),
        ("suffix", "BadRequestError", 400, "out_of_range", "suffix"),
    ],
)
def test_refusals_are_the_clients_own_errors(
    seen: dict[str, Any], which: str, name: str, status: int, code: str, param: str | None
) -> None:
    refused = seen["refusals"][which]
    assert (refused["name"], refused["status"], refused["code"], refused["param"]) == (name, status, code, param)
    assert refused["type"]
    assert refused["hasRequestId"]


def test_webhooks_are_unwrapped_and_forged_ones_refused(seen: dict[str, Any]) -> None:
    assert seen["webhook"] == {
        "type": "fine_tuning.job.succeeded",
        "jobId": seen["job"]["id"],
        "forged": "InvalidWebhookSignatureError",
    }


def test_a_deleted_model_is_gone(seen: dict[str, Any]) -> None:
    assert seen["deleted"]["deleted"] is True
    assert (seen["gone"]["name"], seen["gone"]["status"]) == ("NotFoundError", 404)
