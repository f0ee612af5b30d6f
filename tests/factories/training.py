"""Data that runs learn from, and a base model folder that passes for whole, without anything to train with."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from core.base_models import service as base_models
from core.base_models.types import MARKER_NAME, ModelFolder
from core.config import Settings
from core.datasets.models import Dataset, DatasetVersion, File, Row
from core.datasets.types import FileFormat, Finding, Fix, Health, Severity, Split, VersionStatus
from core.jobs import service as jobs
from core.jobs.kinds import JobKind
from core.jobs.states import JobState
from core.kit.ids import new_id

NUM_TRAIN, NUM_HELDOUT = 90, 10


def put_base_model_on_disk(settings: Settings) -> str:
    """The default base model's folder, as far as `is_ready` looks."""
    model = base_models.default_base_model()
    folder = base_models.folder(settings, model.id)
    folder.mkdir(parents=True)
    marker = ModelFolder(id=model.id, revision=model.revision, files={})
    (folder / MARKER_NAME).write_text(marker.model_dump_json())
    return model.id


def make_file(session: Session, workspace_id: str) -> File:
    file = File(
        id=new_id("file-"),
        workspace_id=workspace_id,
        filename="reviews.jsonl",
        purpose="fine-tune",
        format=FileFormat.JSONL,
        num_bytes=1000,
        sha256="0" * 64,
        object_key="none",
        inspection={
            "format": "jsonl",
            "columns": [],
            "num_rows": NUM_TRAIN + NUM_HELDOUT,
            "is_complete": True,
            "sample": [],
            "mapping": None,
            "problems": [],
            "num_problems": 0,
        },
    )
    session.add(file)
    session.flush()
    return file


def make_version(
    session: Session,
    workspace_id: str,
    *,
    status: VersionStatus = VersionStatus.READY,
    file: File | None = None,
    with_rows: bool = False,
    **changes: Any,  # noqa: ANN401 - columns
) -> DatasetVersion:
    """A version of a dataset of its own; ready unless told."""
    file = file or make_file(session, workspace_id)
    job = jobs.submit(
        session,
        workspace_id=workspace_id,
        kind=JobKind.DATASET_INGEST,
        payload={},
        created_by=None,
        state=JobState.VALIDATING,
    )
    dataset = Dataset(id=new_id("ds_"), workspace_id=workspace_id, file_id=file.id, name="Reviews")
    session.add(dataset)
    session.flush()
    version = DatasetVersion(
        id=new_id("dsv_"), workspace_id=workspace_id, dataset_id=dataset.id, number=1, status=status, job_id=job.id
    )
    if status is VersionStatus.READY:
        finish_version(version)
    for name, value in changes.items():
        setattr(version, name, value)
    session.add(version)
    session.flush()
    if with_rows:
        session.add_all(_rows(version))
        session.flush()
    return version


def health_with(*codes: str, rows: Sequence[int] = (3, 5)) -> dict[str, Any]:
    """The report of a version in whose rows these were found."""
    findings = [
        Finding(
            code=code,
            severity=Severity.WARNING,
            count=len(rows),
            rows=list(rows),
            sentence=f"{len(rows)} examples contain what looks like {code}.",
            advice="Remove it.",
            fixes=[Fix.MASK, Fix.LEAVE_OUT],
        )
        for code in codes
    ]
    return Health(findings=findings).model_dump(mode="json")


def finish_version(version: DatasetVersion) -> None:
    version.status = VersionStatus.READY
    version.num_rows = NUM_TRAIN + NUM_HELDOUT
    version.num_train, version.num_heldout = NUM_TRAIN, NUM_HELDOUT
    version.num_tokens, version.max_row_tokens, version.p99_row_tokens = 5000, 120, 100
    version.content_sha256 = "c" * 64


def _rows(version: DatasetVersion) -> list[Row]:
    return [
        Row(
            reading_id=version.reading_id,
            number=number,
            workspace_id=version.workspace_id,
            split=Split.HELDOUT if number % 10 == 0 else Split.TRAIN,
            messages=[{"role": "user", "content": f"question {number}"}, {"role": "assistant", "content": "answer"}],
            num_tokens=50,
        )
        for number in range(1, NUM_TRAIN + NUM_HELDOUT + 1)
    ]
