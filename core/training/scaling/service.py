"""Is it enough? A study that trains on a quarter, a half and all of the rows: what it would cost, asked for, cancelled.

It is one job. Its parts are trained by the trainer of every run, and nothing of them is kept but what they came to.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.backends.events import EventBus
from core.backends.queue import TaskQueue
from core.base_models import service as base_models
from core.base_models.types import BaseModel
from core.config import Settings
from core.datasets import closing
from core.datasets import service as datasets
from core.datasets.types import RowKind
from core.errors import Conflict, Invalid, NotFound
from core.jobs import service as jobs
from core.jobs.kinds import JobKind
from core.jobs.models import Job
from core.jobs.states import JobState
from core.kit.ids import new_id
from core.kit.money import priced
from core.kit.pagination import Page, PageRequest
from core.training import billing
from core.training.admission import past_runs
from core.training.data import stats_of
from core.training.hardware import list_offers, place_in
from core.training.models import ScalingStudy
from core.training.planning import Plan, plan_run
from core.training.quotes import check_ready, known_base_model
from core.training.recipes import DatasetStats, Recipe
from core.training.request import MethodType, RunRequest
from core.training.scaling.parts import DIVISORS, MIN_HELDOUT, MIN_TRAIN
from core.training.scaling.repository import StudyRepository
from core.training.scaling.types import StudyDetails, StudyQuote
from core.workspaces.principal import Principal

# equal studies give equal answers; which rows a part has is as good a choice as any
_SEED = 0
_METHODS: Final = {RowKind.CHAT: MethodType.SUPERVISED, RowKind.PREFERENCE: MethodType.DPO}


def estimate(session: Session, *, workspace_id: str, version_id: str, model_id: str | None = None) -> StudyQuote:
    """What a study of the version would take and cost.

    Raises `Conflict` while the version is being checked, and `Invalid` for one with too few rows
    (`too_few_rows_to_judge`) or of plain text (`study_needs_answers`).
    """
    base = _base(session, workspace_id, model_id)
    plan, stats = _plan(session, workspace_id=workspace_id, version_id=version_id, base=base)
    num, found, hourly = len(DIVISORS), plan.estimate, plan.price_micros_per_hour
    return StudyQuote(
        plan=plan,
        place=place_in(session, workspace_id=workspace_id, queue_name=plan.offer.queue),
        num_train=stats.num_train,
        num_heldout=stats.num_heldout,
        seconds=num * found.seconds,
        seconds_low=num * found.seconds_low,
        seconds_high=num * found.seconds_high,
        cost_micros=priced(hourly, num * found.work_seconds),
        cost_micros_low=priced(hourly, num * found.work_seconds_low),
        cost_micros_high=priced(hourly, num * found.work_seconds_high),
    )


def create(
    session: Session,
    *,
    principal: Principal,
    version_id: str,
    settings: Settings,
    queue: TaskQueue | None,
    model_id: str | None = None,
) -> StudyDetails:
    """Queue a study. Raises what `estimate` does, and `Conflict` while there is another of the version."""
    workspace_id = principal.workspace_id
    closing.refuse_while_closed(session, workspace_id=workspace_id)
    quote = estimate(session, workspace_id=workspace_id, version_id=version_id, model_id=model_id)
    plan = quote.plan
    check_ready(base_models.get(plan.spec.base_model), settings)
    repository = StudyRepository(session, workspace_id)
    repository.hold_version(version_id)
    if others := repository.unfinished_of(version_id):
        raise Conflict(
            "These examples are being judged already. Wait for the answer, or cancel it first.",
            code="scaling_study_in_progress",
            details={"scaling_study_id": others[0]},
        )
    study_id = new_id("study_")
    job = jobs.submit(
        session,
        workspace_id=workspace_id,
        kind=JobKind.SCALING_STUDY,
        payload={"study_id": study_id},
        created_by=principal.user_id,
        queue=queue,
        queue_name=plan.offer.queue,
        estimated_s=quote.seconds,
    )
    study = ScalingStudy(
        id=study_id,
        workspace_id=workspace_id,
        created_by=principal.user_id,
        job_id=job.id,
        dataset_version_id=version_id,
        base_model=plan.spec.base_model,
        spec=plan.spec.model_dump(mode="json"),
        estimate=plan.dump() | _total(quote),
        hardware=plan.hardware,
        price_micros_per_hour=plan.price_micros_per_hour,
        num_train=quote.num_train,
        measured=[],
    )
    repository.add(study)
    audit.record(
        session,
        principal=principal,
        action="scaling_study.created",
        target_id=study_id,
        details={"dataset_version_id": version_id, "model": study.base_model},
    )
    return get(session, workspace_id=workspace_id, study_id=study_id)


def get(session: Session, *, workspace_id: str, study_id: str) -> StudyDetails:
    found = StudyRepository(session, workspace_id).find(study_id)
    if found is None:
        raise study_not_found(study_id)
    return _told(session, [found])[0]


def list_studies(session: Session, *, workspace_id: str, version_id: str, page: PageRequest) -> Page[StudyDetails]:
    """Of one dataset version, newest first."""
    datasets.get_version(session, workspace_id=workspace_id, version_id=version_id)
    found = StudyRepository(session, workspace_id).page(version_id, page)
    return Page(items=_told(session, found.items), has_more=found.has_more)


def cancel(session: Session, *, principal: Principal, study_id: str, bus: EventBus | None = None) -> StudyDetails:
    """Stop a study; it pays for what it used. Twice changes nothing; raises `Conflict` for one that is over."""
    found = StudyRepository(session, principal.workspace_id).hold(study_id)
    if found is None:
        raise study_not_found(study_id)
    study, before = found
    if before.state in {JobState.SUCCEEDED, JobState.FAILED}:
        raise Conflict(
            f"Study {study_id} has {before.state} already and cannot be cancelled any more.",
            code="job_state_conflict",
            details={"status": before.state.value},
        )
    is_first = before.cancel_requested_at is None and before.state is not JobState.CANCELLED
    job = jobs.request_cancel(session, workspace_id=study.workspace_id, job_id=study.job_id, bus=bus)
    if is_first and job.state is JobState.CANCELLED:
        billing.charge_cancelled(session, study)
    if is_first:
        audit.record(session, principal=principal, action="scaling_study.cancelled", target_id=study_id)
    return get(session, workspace_id=study.workspace_id, study_id=study_id)


def study_not_found(study_id: str) -> NotFound:
    return NotFound(
        f"There is no study {study_id} in this workspace.", code="scaling_study_not_found", param="scaling_study_id"
    )


def _told(session: Session, found: Sequence[tuple[ScalingStudy, Job]]) -> list[StudyDetails]:
    """With what they wait for."""
    waits = jobs.waits_of(session, (job for _, job in found))
    return [StudyDetails(study, job, waits.get(job.id)) for study, job in found]


def _base(session: Session, workspace_id: str, model_id: str | None) -> BaseModel:
    if model_id is None:
        return base_models.default_base_model()
    return known_base_model(session, workspace_id=workspace_id, model_id=model_id)


def _plan(session: Session, *, workspace_id: str, version_id: str, base: BaseModel) -> tuple[Plan, DatasetStats]:
    """The Fast recipe for all rows, every one of them seen: what a part never saw could not have helped."""
    kind = datasets.get_version(session, workspace_id=workspace_id, version_id=version_id).kind
    if kind not in _METHODS:
        raise Invalid(
            "Plain text is learned in pieces that hang together, so its rows cannot be judged one by one. Examples "
            "with answers can.",
            code="study_needs_answers",
            param="version_id",
        )
    request = RunRequest(
        model=base.id, dataset_version_id=version_id, recipe=Recipe.FAST, method_type=_METHODS[kind], seed=_SEED
    )
    stats = stats_of(session, workspace_id=workspace_id, request=request)
    if stats.num_train < MIN_TRAIN or stats.num_heldout < MIN_HELDOUT:
        raise Invalid(
            f"There are {stats.num_train} examples to learn from and {stats.num_heldout} kept back to judge by. It "
            f"takes at least {MIN_TRAIN} and {MIN_HELDOUT}, about a hundred together, to say anything: so few are "
            "rarely enough.",
            code="too_few_rows_to_judge",
            param="version_id",
            details={"num_train": stats.num_train, "num_heldout": stats.num_heldout},
        )
    offers, past = list_offers(session), past_runs(session, workspace_id=workspace_id)

    def plan(asked: RunRequest) -> Plan:
        return plan_run(asked, recipe=Recipe.FAST, stats=stats, base=base, seed=_SEED, offers=offers, past=past)

    # epochs that are asked for are done in full, however slow the machine
    return plan(request.model_copy(update={"n_epochs": plan(request).spec.num_epochs})), stats


def _total(quote: StudyQuote) -> dict[str, float]:
    return {
        "seconds": quote.seconds,
        "seconds_low": quote.seconds_low,
        "seconds_high": quote.seconds_high,
        "cost_micros": quote.cost_micros,
        "cost_micros_low": quote.cost_micros_low,
        "cost_micros_high": quote.cost_micros_high,
    }
