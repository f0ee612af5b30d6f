from typing import Literal

from pydantic import Field

from api.schemas import RequestBody, ResponseBody
from core.datasets.types import RowContent
from core.erasures.telling import Told
from core.erasures.types import ByHandKind, ErasureStatus
from core.erasures.words import MAX_TERM_CHARS, MAX_TERMS
from core.jobs.states import TERMINAL
from core.kit.clock import unix_s


class NewErasure(RequestBody):
    terms: list[str] = Field(
        min_length=1,
        max_length=MAX_TERMS,
        description="A name, an e-mail address, a phone number: each is looked for as it is, in any case. At least 3 "
        f"and at most {MAX_TERM_CHARS} characters.",
    )


class ErasureVersionBody(ResponseBody):
    id: str
    number: int
    num_rows: int = Field(description="Rows of the person in it. With none, they are in what is told about it.")
    is_done: bool = Field(description="Its rows and files are without them.")


class ErasureDatasetBody(ResponseBody):
    id: str
    name: str
    is_deleted: bool
    versions: list[ErasureVersionBody]


class ErasureFileBody(ResponseBody):
    id: str
    filename: str = Field(description="`[erased]` once it is removed, if the name held one of the terms.")


class ErasureModelBody(ResponseBody):
    model: str
    name: str | None
    fine_tuning_job_id: str
    is_deleted: bool


class ErasureByHandBody(ResponseBody):
    kind: ByHandKind
    id: str
    name: str


class ErasureExampleBody(ResponseBody):
    version_id: str
    number: int
    content: RowContent


class ErasureError(ResponseBody):
    code: str
    message: str


class ErasureBody(ResponseBody):
    """A search for a person, then the removal of what was found, at last its receipt. Never what was looked for."""

    id: str
    object: Literal["erasure"] = "erasure"
    status: ErasureStatus
    created_at: int
    created_by_name: str | None
    confirmed_at: int | None
    confirmed_by_name: str | None
    finished_at: int | None
    job_id: str | None
    num_terms: int
    num_rows: int = Field(description="Rows as they are stored: of one that was edited, each form counts.")
    num_rows_erased: int
    datasets: list[ErasureDatasetBody]
    files: list[ErasureFileBody] = Field(description="Uploaded files, which go as a whole.")
    models: list[ErasureModelBody] = Field(
        description="Models that learned from a version with such a row, or were measured with one. They stay."
    )
    num_completions: int = Field(description="Kept answers, which go.")
    num_shadow_answers: int = Field(description="Answers beside those that were sent, which go.")
    num_preferences: int = Field(description="Votes whose words go; that they were cast stays.")
    num_drafts: int = Field(description="Datasets whose unsaved changes go.")
    num_grounds: int = Field(description="Grounds on which findings are kept: their words go, the decisions stay.")
    num_runs: int = Field(description="Runs whose name, suffix, metadata or first words lose the terms.")
    num_model_names: int = Field(description="Models, and models brought in, whose name or origin loses them.")
    num_uploads: int = Field(description="Uploads in parts whose file's name loses them.")
    num_notes: int = Field(description="Notes on releases, and names of deleted datasets, that lose them.")
    num_job_texts: int = Field(description="Events, errors and printed output of jobs that lose them.")
    num_webhook_answers: int = Field(description="Answers of webhooks' other sides that lose them.")
    num_access_names: int = Field(
        description="Names of webhooks, API keys and service accounts, and people in invitations, that lose them."
    )
    by_hand: list[ErasureByHandBody] = Field(description="What stays until somebody changes it.")
    examples: list[ErasureExampleBody] = Field(description="Some of the rows, until they are removed; not in lists.")
    error: ErasureError | None


class DeletedErasureBody(ResponseBody):
    id: str
    object: Literal["erasure"] = "erasure"
    deleted: Literal[True] = True


def erasure_body(told: Told) -> ErasureBody:
    erasure, found, job = told.details.erasure, told.details.found, told.details.job
    error = job.error if job is not None and job.state in TERMINAL else None
    return ErasureBody(
        id=erasure.id,
        status=told.details.status,
        created_at=unix_s(erasure.created_at),
        created_by_name=told.people.get(erasure.created_by),
        confirmed_at=None if erasure.confirmed_at is None else unix_s(erasure.confirmed_at),
        confirmed_by_name=told.people.get(erasure.confirmed_by),
        finished_at=None if erasure.finished_at is None else unix_s(erasure.finished_at),
        job_id=erasure.job_id,
        num_terms=erasure.num_terms,
        num_rows=found.num_rows,
        num_rows_erased=found.num_rows_erased,
        datasets=[
            ErasureDatasetBody(
                id=dataset.dataset_id,
                name=told.datasets[dataset.dataset_id].name,
                is_deleted=told.datasets[dataset.dataset_id].deleted_at is not None,
                versions=[
                    ErasureVersionBody(id=one.version_id, number=one.number, num_rows=one.num_rows, is_done=one.is_done)
                    for one in dataset.versions
                ],
            )
            for dataset in found.datasets
        ],
        files=[ErasureFileBody(id=file.file_id, filename=told.filenames[file.file_id]) for file in found.files],
        models=[
            ErasureModelBody(
                model=one.model_id, name=one.name, fine_tuning_job_id=one.run_id, is_deleted=one.is_deleted
            )
            for one in found.models
        ],
        **found.counts,
        by_hand=[ErasureByHandBody(kind=one.kind, id=one.id, name=told.by_hand[one]) for one in found.by_hand],
        examples=[
            ErasureExampleBody(version_id=one.version_id, number=one.number, content=one.content)
            for one in told.examples
        ],
        error=None if error is None else ErasureError(code=str(error["code"]), message=str(error["message"])),
    )
