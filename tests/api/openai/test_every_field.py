"""The fields of the official client, as it is installed, held against the description of our API.

A field that a newer client sends would be refused as unknown, one that it reads would be missing: this tells, without a
server. What is refused by its name, and why, is told elsewhere (`docs/chat.md`, `docs/migrate-from-openai.md`).
"""

from typing import Any

import pytest
from openai.types import FileObject, Model, Upload
from openai.types import file_create_params as file_create
from openai.types import file_list_params as file_list
from openai.types import upload_complete_params as upload_complete
from openai.types import upload_create_params as upload_create
from openai.types.chat import ChatCompletion, ChatCompletionMessage
from openai.types.chat import completion_create_params as chat_create
from openai.types.chat import completion_list_params as chat_list
from openai.types.chat.completions import message_list_params as message_list
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from openai.types.fine_tuning import job_create_params as job_create
from openai.types.fine_tuning import job_list_events_params as event_list
from openai.types.fine_tuning import job_list_params as job_list
from openai.types.fine_tuning.checkpoints import permission_retrieve_params as permission_list
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint
from openai.types.uploads import UploadPart
from openai.types.webhooks import WebhookCreateParams, WebhookEndpoint, WebhookUpdateParams

from api.main import create_app
from core.config import Settings

JOBS, CHAT = "/v1/fine_tuning/jobs", "/v1/chat/completions"
PERMISSIONS = "/v1/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions"
# in addresses and forms, where it is read in parts: `metadata[k]`, `expires_after[seconds]`
NESTED = {"metadata", "expires_after"}
# of answers that no model here gives: pictures, sound, searches; what a moderation said
NEVER_GIVEN = {"annotations", "audio", "function_call", "moderation"}
# said by the list and the look at a kept answer, beside these
BESIDE = {"metadata"}


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    return create_app(Settings(s3_access_key_id="none", s3_secret_access_key="none")).openapi()


@pytest.mark.parametrize(
    ("sent", "method", "path"),
    [
        (chat_create.CompletionCreateParamsBase, "post", CHAT),
        (chat_list.CompletionListParams, "get", CHAT),
        (message_list.MessageListParams, "get", f"{CHAT}/{{completion_id}}/messages"),
        (job_create.JobCreateParams, "post", JOBS),
        (job_list.JobListParams, "get", JOBS),
        (event_list.JobListEventsParams, "get", f"{JOBS}/{{fine_tuning_job_id}}/events"),
        (permission_list.PermissionRetrieveParams, "get", PERMISSIONS),
        (file_create.FileCreateParams, "post", "/v1/files"),
        (file_list.FileListParams, "get", "/v1/files"),
        (upload_create.UploadCreateParams, "post", "/v1/uploads"),
        (upload_complete.UploadCompleteParams, "post", "/v1/uploads/{upload_id}/complete"),
        (WebhookCreateParams, "post", "/v1/webhook_endpoints"),
        (WebhookUpdateParams, "post", "/v1/webhook_endpoints/{webhook_endpoint_id}"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_the_client_sends_is_known(description: dict[str, Any], sent: Any, method: str, path: str) -> None:  # noqa: ANN401 - a typed dict
    operation = description["paths"][path][method]
    known = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"}
    for content in operation.get("requestBody", {}).get("content", {}).values():
        known |= properties(description, content["schema"]).keys()
    unknown = set(sent.__annotations__) - known
    assert unknown - (NESTED if method == "get" or path == "/v1/files" else set()) == set()


@pytest.mark.parametrize(
    ("read", "told"),
    [
        (FineTuningJob, "FineTuningJob"),
        (FineTuningJobEvent, "FineTuningEvent"),
        (FineTuningJobCheckpoint, "FineTuningCheckpoint"),
        (FileObject, "FileBody"),
        (Upload, "UploadBody"),
        (UploadPart, "UploadPartBody"),
        (Model, "ModelBody"),
        (ChatCompletion, "ChatCompletion"),
        (ChatCompletionMessage, "AnswerMessage"),
        (WebhookEndpoint, "WebhookEndpointBody"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_the_client_reads_is_told(description: dict[str, Any], read: Any, told: str) -> None:  # noqa: ANN401 - a model
    fields = {field.alias or name for name, field in read.model_fields.items()}
    unsaid = fields - description["components"]["schemas"][told]["properties"].keys()
    assert unsaid - NEVER_GIVEN - (BESIDE if read is ChatCompletion else set()) == set()


def properties(description: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = (description["components"]["schemas"][name] if name else schema).get("properties", {})
    return found
