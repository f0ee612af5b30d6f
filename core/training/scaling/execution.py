"""A study as its worker sees it: the parts that are left, what each came to, and how it ended.

Every write is guarded by the lease. A part that is entered is done, whoever goes on with the study.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from sqlalchemy.orm import Session

from core.backends.events import EventBus
from core.datasets import service as datasets
from core.datasets.types import RowRecord, Split
from core.jobs import service as jobs
from core.jobs.models import Job
from core.jobs.states import JobState
from core.jobs.types import Lease
from core.training import billing
from core.training.execution import Fenced, say
from core.training.models import ScalingStudy
from core.training.planning import execution_of
from core.training.scaling.parts import sizes_of
from core.training.scaling.repository import StudyRepository
from core.training.scaling.service import study_not_found
from core.training.scaling.statistics import Part, judge
from core.training.scaling.types import Measured
from core.training.spec import ExecutionPlan, TrainingSpec

MAX_MORE = 300


@dataclass(frozen=True, slots=True)
class StudyWork:
    """All that a worker needs to know of a study, without a session."""

    study_id: str
    spec: TrainingSpec
    execution: ExecutionPlan
    dataset_version_id: str
    num_train: int
    num_done: int
    """Parts that earlier attempts finished."""


def load(session: Session, lease: Lease) -> StudyWork:
    study = _study_of(session, lease)
    return StudyWork(
        study_id=study.id,
        spec=TrainingSpec.model_validate(study.spec),
        execution=execution_of(study.estimate),
        dataset_version_id=study.dataset_version_id,
        num_train=study.num_train,
        num_done=len(study.measured),
    )


def rows(session: Session, lease: Lease, work: StudyWork, split: Split) -> Iterator[RowRecord]:
    return datasets.stream_rows(
        session, workspace_id=lease.workspace_id, version_id=work.dataset_version_id, split=split
    )


def begin_part(session: Session, lease: Lease, work: StudyWork, place: int, *, bus: EventBus | None = None) -> None:
    """Raises `Fenced`."""
    _begin_anew(session, lease, bus=bus)
    say(session, lease, f"Learning from {sizes_of(work.num_train)[place]} of {work.num_train} examples.", bus=bus)


def enter_part(session: Session, lease: Lease, measured: Measured) -> None:
    """Keep what a part came to. Raises `Fenced`; a part that is entered already stays as it is."""
    say(session, lease)
    study = _study_of(session, lease)
    if any(one["num_rows"] == measured.num_rows for one in study.measured):
        return
    study.measured = [*study.measured, measured.model_dump(mode="json")]
    study.seconds = (study.seconds or 0.0) + measured.billable_s
    session.flush()
    _begin_anew(session, lease)


def succeed(session: Session, lease: Lease, *, bus: EventBus | None = None) -> None:
    """Judge what the parts say together, charge, and end the job: all of it or, if fenced, none.

    Raises `ValueError` for parts that do not fit together, which is no user's fault.
    """
    study = _study_of(session, lease)
    measured = [Measured.model_validate(one) for one in study.measured]
    if len({tuple(one.weights) for one in measured}) != 1:
        raise ValueError(f"the parts of {study.id} were not measured with the same held-out rows")
    parts = [Part(num_rows=one.num_rows, losses=one.losses) for one in measured]
    judgement = judge(parts, measured[0].weights, num_more=min(MAX_MORE, study.num_train))
    study.judgement = asdict(judgement)
    billing.charge(
        session,
        study,
        billable_s=sum(one.billable_s for one in measured),
        num_tokens=sum(one.trained_tokens for one in measured),
    )
    say(session, lease, "The examples are judged.")
    _finish(session, lease, JobState.SUCCEEDED, bus=bus)


def cancelled(session: Session, lease: Lease, *, billable_s: float, bus: EventBus | None = None) -> None:
    """End a study that was asked to stop; it pays for the parts that are done, and for what the last one had used."""
    study = _study_of(session, lease)
    used_s = (study.seconds or 0.0) + billing.seconds_of(billable_s)
    billing.charge(session, study, billable_s=used_s, num_tokens=0)
    _finish(session, lease, JobState.CANCELLED, bus=bus)


def settle(session: Session, job: Job) -> None:
    """The job ended without its worker: failed, the study is free; cancelled, it pays for the parts that are done."""
    study = StudyRepository(session, job.workspace_id).get(str(job.payload["study_id"]))
    if study is None:
        return
    if job.state is JobState.CANCELLED:
        billing.charge_cancelled(session, study)
    else:
        billing.end_free(session, study)


def _begin_anew(session: Session, lease: Lease, *, bus: EventBus | None = None) -> None:
    """How far the job is counts within a part; else the next one would begin as far as the last one came."""
    jobs.set_progress(session, lease, step=0, total_steps=1, bus=bus)


def _finish(session: Session, lease: Lease, state: JobState, *, bus: EventBus | None) -> None:
    if not jobs.finish(session, lease, state, bus=bus):
        raise Fenced(f"Job {lease.job_id} is no longer ours.")


def _study_of(session: Session, lease: Lease) -> ScalingStudy:
    study_id = str(lease.payload["study_id"])
    study = StudyRepository(session, lease.workspace_id).get(study_id)
    if study is None:
        raise study_not_found(study_id)
    return study
