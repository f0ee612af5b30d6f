from typing import Literal

from pydantic import Field

from api.schemas import JobWaitBody, RequestBody, ResponseBody
from core.exports import service as exports
from core.exports.child import MergeReport
from core.exports.forms import ModelExportFormat
from core.exports.models import SigningKey
from core.exports.signing import ALGORITHM
from core.exports.types import ExportDetails
from core.jobs.states import TERMINAL, JobState
from core.kit.clock import unix_s
from core.kit.money import usd


class NewModelExport(RequestBody):
    model: str = Field(max_length=200, description="A tuned model of the workspace, by its id.")
    format: ModelExportFormat = Field(
        description="`adapter`: the small weights for PEFT. `merged`: the whole model for transformers. `gguf`: "
        "one file for llama.cpp and Ollama. `bedrock`: the whole model for Amazon Bedrock."
    )


class ExportedFileBody(ResponseBody):
    name: str
    bytes: int
    sha256: str


class ModelExportErrorBody(ResponseBody):
    code: str
    message: str


class ModelExportBody(ResponseBody):
    """A tuned model as files to take away."""

    id: str
    object: Literal["model_export"] = "model_export"
    created_at: int
    model: str
    format: ModelExportFormat
    status: JobState
    is_cancelling: bool
    stage: str | None = Field(description="What is done at the moment.")
    waits_for: JobWaitBody | None = Field(description="While its `status` is `queued`; of a list, the first ten.")
    progress: float | None = Field(description="From 0 to 1, within the stage.")
    job_id: str
    finished_at: int | None
    folder: str = Field(description="What the archive unpacks to.")
    files: list[ExportedFileBody] = Field(description="What is in it, once it is done.")
    bytes: int | None = Field(description="Of all files together.")
    manifest_sha256: str | None
    expires_at: int | None = Field(description="From then on it is gone; the model can be packed again.")
    is_expired: bool
    cost_usd: float | None
    merge: MergeReport | None = Field(description="Of a merged model: how far it is from what is served here.")
    error: ModelExportErrorBody | None


class ModelExportChoiceBody(ResponseBody):
    format: ModelExportFormat
    reason: str | None = Field(description="Why this model cannot be had in this form; null where it can.")


class ModelExportChoicesBody(ResponseBody):
    object: Literal["list"] = "list"
    data: list[ModelExportChoiceBody]


class SigningKeyBody(ResponseBody):
    """What manifests of exports are signed with."""

    id: str = Field(description="The beginning of the sha256 of the key.")
    object: Literal["signing_key"] = "signing_key"
    algorithm: str
    public_key: str = Field(description="32 bytes of base64.")
    created_at: int


def model_export_body(details: ExportDetails) -> ModelExportBody:
    export, job = details.export, details.job
    is_over = job.state in TERMINAL
    error = job.error if is_over else None
    progress = None
    if not is_over and job.progress_total_steps:
        progress = min(1.0, (job.progress_step or 0) / job.progress_total_steps)
    return ModelExportBody(
        id=export.id,
        created_at=unix_s(export.created_at),
        model=details.adapter.model_id,
        format=ModelExportFormat(export.format),
        status=job.state,
        is_cancelling=job.cancel_requested_at is not None and not is_over,
        stage=None if is_over else job.stage,
        waits_for=JobWaitBody.of(details.wait),
        progress=1.0 if job.state is JobState.SUCCEEDED else progress,
        job_id=job.id,
        finished_at=None if job.finished_at is None else unix_s(job.finished_at),
        folder=exports.folder_of(details),
        files=[
            ExportedFileBody(name=entry["name"], bytes=entry["num_bytes"], sha256=entry["sha256"])
            for entry in export.files
        ],
        bytes=sum(entry["num_bytes"] for entry in export.files) if export.files else None,
        manifest_sha256=export.manifest_sha256,
        expires_at=None if export.expires_at is None else unix_s(export.expires_at),
        is_expired=exports.is_expired(export),
        merge=None if export.report is None else export.report["merge"],
        cost_usd=None if export.cost_micros is None else usd(export.cost_micros),
        error=None
        if error is None
        else ModelExportErrorBody(code=str(error["code"]), message=str(error["message"])),
    )  # fmt: skip


def signing_key_body(key: SigningKey) -> SigningKeyBody:
    return SigningKeyBody(
        id=key.id, algorithm=ALGORITHM, public_key=key.public_key, created_at=unix_s(key.created_at)
    )  # fmt: skip
