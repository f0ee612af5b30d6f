from typing import Literal

from pydantic import Field

from api.schemas import JobWaitBody, RequestBody, ResponseBody
from core.jobs.states import TERMINAL, JobState
from core.kit.clock import unix_s
from core.model_imports.names import MAX_FILES
from core.model_imports.types import ImportDetails
from core.training.methods import Quantization


class NewModelImport(RequestBody):
    file_ids: list[str] = Field(
        min_length=1,
        max_length=MAX_FILES,
        description="Files of the workspace, uploaded for the purpose `user_data`: `adapter_config.json` and "
        "`adapter_model.safetensors` as PEFT saves them, or one `.zip` of their folder, or an export of a Tailorbird.",
    )
    name: str = Field(min_length=1, max_length=100, description="What the model is called here.")
    base_model: str = Field(max_length=100, description="The base model that it was trained on.")
    confirm_base: bool = Field(
        False,
        description="You know that it was trained on this base model. Needed unless an export's manifest proves it.",
    )
    quantization: Quantization | None = Field(
        None,
        description="`nf4` if it was trained on the base in 4 bits (QLoRA): it is then served on the same. The "
        "manifest of an export says it by itself.",
    )


class ImportedFileBody(ResponseBody):
    id: str
    filename: str
    bytes: int
    sha256: str


class ModelImportErrorBody(ResponseBody):
    code: str
    message: str


class ModelImportBody(ResponseBody):
    """A model made elsewhere that is being brought in, or was."""

    id: str
    object: Literal["model_import"] = "model_import"
    created_at: int
    name: str
    base_model: str
    confirm_base: bool
    quantization: Quantization | None
    files: list[ImportedFileBody]
    status: JobState
    is_cancelling: bool
    stage: str | None = Field(description="What is done at the moment.")
    waits_for: JobWaitBody | None = Field(description="While its `status` is `queued`; of a list, the first ten.")
    job_id: str
    finished_at: int | None
    model: str | None = Field(description="The model that came of it; whether it may answer, its `proof_status` says.")
    error: ModelImportErrorBody | None


def model_import_body(details: ImportDetails) -> ModelImportBody:
    record, job = details.record, details.job
    is_over = job.state in TERMINAL
    error = job.error if is_over else None
    return ModelImportBody(
        id=record.id,
        created_at=unix_s(record.created_at),
        name=record.name,
        base_model=record.base_model,
        confirm_base=record.is_base_confirmed,
        quantization=None if record.quantization is None else "nf4",
        files=[
            ImportedFileBody(
                id=entry["file_id"], filename=entry["filename"], bytes=entry["num_bytes"], sha256=entry["sha256"]
            )
            for entry in record.files
        ],
        status=job.state,
        is_cancelling=job.cancel_requested_at is not None and not is_over,
        stage=None if is_over else job.stage,
        waits_for=JobWaitBody.of(details.wait),
        job_id=job.id,
        finished_at=None if job.finished_at is None else unix_s(job.finished_at),
        model=None if details.adapter is None else details.adapter.model_id,
        error=None
        if error is None
        else ModelImportErrorBody(code=str(error["code"]), message=str(error["message"])),
    )  # fmt: skip
