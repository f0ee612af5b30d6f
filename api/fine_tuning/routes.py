from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request

from api.dependencies import BackendsDep, DatabaseDep, SessionDep, SettingsDep, may_still, require
from api.fine_tuning import stream
from api.fine_tuning.estimates import DryRun, EstimateBody, dry_run_body, estimate_body
from api.fine_tuning.requests import CloneJobBody, CreateJobBody, EstimateRequest, MoveJobBody, PatchJobBody
from api.fine_tuning.schemas import (
    FineTuningCheckpoint,
    FineTuningEvent,
    FineTuningJob,
    MetricsList,
    adapter_id_of,
    checkpoint_body,
    event_body,
    job_body,
)
from api.idempotency import OnceDep
from api.pagination import ListBody, PageDep, list_body
from api.rate_limits import JOBS_COUNTED
from api.retries import RetriedRoute
from api.streaming import EventStream
from core.base_models import service as base_models
from core.errors import Invalid
from core.kit.pagination import PageRequest
from core.training import control
from core.training import service as training
from core.training.recipes import Recipe
from core.training.types import RunFilter
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(prefix="/v1/fine_tuning", tags=["fine-tuning"], route_class=RetriedRoute)

Reader = Annotated[Principal, Depends(require(Permission.RUNS_READ))]
Writer = Annotated[Principal, Depends(require(Permission.RUNS_WRITE))]

# a bigint holds any number so long
_MAX_STEP = 10**18 - 1


@router.post("/estimates")
@router.post("/jobs/estimate", operation_id="estimate_fine_tuning_job")
def create_fine_tuning_estimate(body: EstimateRequest, principal: Reader, session: SessionDep) -> EstimateBody:
    """How long a run would take, what it would cost and how it would be done, for one recipe or for each.

    Also of a model that is not on the disk yet.
    """
    request = body.to_run_request(default_model=base_models.default_base_model().id)
    recipes = [body.recipe] if body.recipe else list(Recipe)
    quote = training.estimate(session, principal=principal, request=request, recipes=recipes)
    return estimate_body(quote, max_cost_micros=body.max_cost_micros)


@router.post("/jobs/dry_run")
def rehearse_fine_tuning_job(
    body: CreateJobBody, principal: Reader, session: SessionDep, settings: SettingsDep
) -> DryRun:
    """What this create would do: the resolved specification, how it would be run, every check. Makes nothing."""
    request, terms = body.to_run_request(), body.to_terms()
    rehearsal = training.rehearse(session, principal=principal, request=request, settings=settings)
    return dry_run_body(rehearsal, max_cost_micros=terms.max_cost_micros)


@router.post("/jobs", dependencies=[JOBS_COUNTED])
def create_fine_tuning_job(
    body: CreateJobBody,
    principal: Writer,
    session: SessionDep,
    settings: SettingsDep,
    backends: BackendsDep,
    once: OnceDep,
) -> FineTuningJob:
    """Start a run on a file or a dataset version."""
    request, terms = body.to_run_request(), body.to_terms()
    return once.answer(
        FineTuningJob,
        lambda: job_body(
            training.create(
                session,
                principal=principal,
                request=request,
                terms=terms,
                settings=settings,
                queue=backends.queue,
                bus=backends.events,
            )
        ),
    )


async def _run_filter(request: Request) -> RunFilter:
    """`metadata[key]=value` pairs, or `metadata=null` for runs without any."""
    pairs = {
        name.removeprefix("metadata[").removesuffix("]"): value
        for name, value in request.query_params.items()
        if name.startswith("metadata[") and name.endswith("]")
    }
    plain = request.query_params.get("metadata")
    if plain not in {None, "", "null"}:
        raise Invalid("Filter by metadata[key]=value, or by metadata=null.", code="invalid_value", param="metadata")
    return RunFilter(metadata=pairs or None, has_no_metadata=plain is not None)


@router.get("/jobs")
def list_fine_tuning_jobs(
    principal: Reader,
    session: SessionDep,
    page: PageDep,
    wanted: Annotated[RunFilter, Depends(_run_filter)],
) -> ListBody[FineTuningJob]:
    """Newest first."""
    found = training.list_runs(session, workspace_id=principal.workspace_id, page=page, wanted=wanted)
    return list_body(found, job_body)


@router.get("/jobs/{fine_tuning_job_id}")
def retrieve_fine_tuning_job(fine_tuning_job_id: str, principal: Reader, session: SessionDep) -> FineTuningJob:
    return job_body(training.get(session, workspace_id=principal.workspace_id, run_id=fine_tuning_job_id))


@router.post("/jobs/{fine_tuning_job_id}/cancel")
def cancel_fine_tuning_job(
    fine_tuning_job_id: str, principal: Writer, session: SessionDep, backends: BackendsDep
) -> FineTuningJob:
    """Stop a run. A waiting one stops at once, a running one within seconds; its seconds so far are charged."""
    return job_body(training.cancel(session, principal=principal, run_id=fine_tuning_job_id, bus=backends.events))


@router.post("/jobs/{fine_tuning_job_id}/pause")
def pause_fine_tuning_job(
    fine_tuning_job_id: str, principal: Writer, session: SessionDep, backends: BackendsDep
) -> FineTuningJob:
    """Hold a run. A waiting one keeps its place; a running one saves its place and frees its machine."""
    return job_body(control.pause(session, principal=principal, run_id=fine_tuning_job_id, bus=backends.events))


@router.post("/jobs/{fine_tuning_job_id}/resume")
def resume_fine_tuning_job(
    fine_tuning_job_id: str, principal: Writer, session: SessionDep, backends: BackendsDep
) -> FineTuningJob:
    """Go on with a paused run, or with a failed one after the error, from its last checkpoint."""
    return job_body(
        control.resume(
            session, principal=principal, run_id=fine_tuning_job_id, queue=backends.queue, bus=backends.events
        )
    )


@router.post("/jobs/{fine_tuning_job_id}/clone", dependencies=[JOBS_COUNTED])
def clone_fine_tuning_job(
    fine_tuning_job_id: str,
    body: CloneJobBody,
    principal: Writer,
    session: SessionDep,
    settings: SettingsDep,
    backends: BackendsDep,
    once: OnceDep,
) -> FineTuningJob:
    """A new run like this one, with the same seed and rows, but for the fields that are sent."""
    changes, terms_changes = body.to_changes(), body.to_terms_changes()
    return once.answer(
        FineTuningJob,
        lambda: job_body(
            control.clone(
                session,
                principal=principal,
                run_id=fine_tuning_job_id,
                changes=changes,
                terms_changes=terms_changes,
                settings=settings,
                queue=backends.queue,
                bus=backends.events,
            )
        ),
    )


@router.patch("/jobs/{fine_tuning_job_id}")
def change_fine_tuning_job(
    fine_tuning_job_id: str, body: PatchJobBody, principal: Writer, session: SessionDep, backends: BackendsDep
) -> FineTuningJob:
    """Change a run's name, priority, start or limit."""
    return job_body(
        control.change(
            session,
            principal=principal,
            run_id=fine_tuning_job_id,
            changes=body.to_changes(),
            bus=backends.events,
        )
    )


@router.post("/jobs/{fine_tuning_job_id}/move")
def move_fine_tuning_job(
    fine_tuning_job_id: str, body: MoveJobBody, principal: Writer, session: SessionDep, backends: BackendsDep
) -> FineTuningJob:
    """Give a waiting run another place among those of this workspace."""
    return job_body(
        control.move(
            session,
            principal=principal,
            run_id=fine_tuning_job_id,
            to=body.to,
            before=body.before,
            bus=backends.events,
        )
    )


@router.get("/queue")
def list_fine_tuning_queue(
    principal: Reader, session: SessionDep, limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> ListBody[FineTuningJob]:
    """This workspace's waiting runs in the order of their turns; the first fifty know when theirs is."""
    return list_body(control.list_waiting(session, workspace_id=principal.workspace_id, limit=limit), job_body)


@router.get("/jobs/{fine_tuning_job_id}/events")
def list_fine_tuning_events(
    fine_tuning_job_id: str, principal: Reader, session: SessionDep, page: PageDep
) -> ListBody[FineTuningEvent]:
    """Newest first."""
    found = training.list_events(session, workspace_id=principal.workspace_id, run_id=fine_tuning_job_id, page=page)
    return list_body(found, event_body)


@router.get("/jobs/{fine_tuning_job_id}/checkpoints")
def list_fine_tuning_checkpoints(
    fine_tuning_job_id: str,
    principal: Reader,
    session: SessionDep,
    after: Annotated[str | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
) -> ListBody[FineTuningCheckpoint]:
    """The adapters of the last epochs and the one that ships, which did best on held-out rows; all are models.

    The last step comes first. Others are for the run itself, while it may go on.
    """
    page = PageRequest(after=adapter_id_of(after), limit=limit)
    found = training.list_checkpoints(
        session, workspace_id=principal.workspace_id, run_id=fine_tuning_job_id, page=page
    )
    return list_body(found, checkpoint_body)


@router.get("/jobs/{fine_tuning_job_id}/metrics")
def list_fine_tuning_metrics(
    fine_tuning_job_id: str,
    principal: Reader,
    session: SessionDep,
    max_points: Annotated[int, Query(ge=10, le=10_000, description="About how many points are wanted.")] = 1000,
    from_step: Annotated[int | None, Query(ge=0, le=_MAX_STEP)] = None,
    to_step: Annotated[int | None, Query(ge=0, le=_MAX_STEP)] = None,
) -> MetricsList:
    """The curve by step, for the chart.

    A long one is thinned out so that its chart looks the same: of each stretch the first, lowest, highest and last
    training loss are kept (M4: Jugel et al. 2014), and every point with a held-out measurement.
    """
    found = training.list_metrics(
        session,
        workspace_id=principal.workspace_id,
        run_id=fine_tuning_job_id,
        max_points=max_points,
        from_step=from_step,
        to_step=to_step,
    )
    return MetricsList(data=found.points, num_steps=found.num_steps, is_downsampled=found.is_downsampled)


@router.get(
    "/jobs/{fine_tuning_job_id}/stream",
    response_class=EventStream,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events `job`, `log`, `metrics`, `end`."}},
)
async def stream_fine_tuning_job(
    fine_tuning_job_id: str,
    request: Request,
    principal: Reader,
    settings: SettingsDep,
    database: DatabaseDep,
    last_event_id: Annotated[str | None, Header()] = None,
    last_seen: Annotated[str | None, Query(alias="last_event_id")] = None,
) -> EventStream:
    """The run as it happens. Continues after `Last-Event-ID`; ends after the run has.

    Without an id it begins with the newest 1,000 events: earlier ones are in the lists of events and metrics.

    A page that opens a stream anew cannot set headers: it gives the id as `?last_event_id=`.
    """
    watch = stream.Watch(
        database=database,
        feeds=request.app.state.feeds,
        workspace_id=principal.workspace_id,
        run_id=fine_tuning_job_id,
        may_still_watch=partial(
            may_still, request, settings, database, principal=principal, permission=Permission.RUNS_READ
        ),
        after_seq=stream.seq_of(last_event_id or last_seen),
    )
    return EventStream(await stream.begin(watch))
