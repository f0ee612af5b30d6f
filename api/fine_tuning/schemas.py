"""The fine-tuning wire, field by field as the official clients read it; our own fields come after."""

from typing import Any, Literal

from pydantic import Field

from api.fine_tuning.estimates import JobEstimate, JobWarning, LeakageBody, estimate_of, leakage_body, warning_of
from api.fine_tuning.failures import FailureBody, failure_body
from api.fine_tuning.methods import (
    AdapterMethod,
    Hyperparameters,
    Method,
    TrainingNumbers,
    adapter_of,
    hyperparameters_of,
    method_of,
    training_of,
)
from api.schemas import ResponseBody
from core.adapters.models import Adapter
from core.jobs.models import JobEvent
from core.jobs.states import TERMINAL, JobState
from core.kit.clock import unix_s
from core.kit.money import usd
from core.training import leakage
from core.training.actions import Action, actions_of
from core.training.request import MethodType, RunRequest
from core.training.service import step_of
from core.training.spec import TrainingSpec
from core.training.types import RunDetails

_STATUS = {state: state.value for state in JobState} | {JobState.VALIDATING: "validating_files"}
CHECKPOINT_PREFIX, _ADAPTER_PREFIX = "ftckpt_", "adp_"
_METRICS_OF_RESULTS = {
    "train_loss": "train_loss",
    "valid_loss": "tuned_heldout_loss",
    "valid_mean_token_accuracy": "tuned_heldout_accuracy",
    "full_valid_loss": "tuned_heldout_loss",
    "full_valid_mean_token_accuracy": "tuned_heldout_accuracy",
}
Status = Literal["validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"]


class FineTuningError(ResponseBody):
    code: str
    message: str
    param: str | None = None


class Progress(ResponseBody):
    step: int
    total_steps: int
    fraction: float
    seconds_left: float | None


class FineTuningJob(ResponseBody):
    id: str
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    created_at: int
    finished_at: int | None
    estimated_finish: int | None
    model: str
    fine_tuned_model: str | None
    organization_id: str
    status: Status
    error: FineTuningError | None
    hyperparameters: Hyperparameters | None = Field(
        description="Null unless the method is `supervised`, as OpenAI has it."
    )
    method: Method
    training_file: str
    validation_file: str | None
    result_files: list[str]
    trained_tokens: int | None
    seed: int
    integrations: list[dict[str, Any]]
    metadata: dict[str, str] | None
    user_provided_suffix: str | None

    name: str | None = Field(description="Our extension, like all that follow.")
    stage: str | None
    progress: Progress | None
    recipe: str
    adapter: AdapterMethod
    training: TrainingNumbers
    max_length_tokens: int | None
    learning_rate: float | None
    dataset_version_id: str
    dataset_name: str | None
    validation_dataset_version_id: str | None = Field(description="What it is measured with, if that is another.")
    leakage: LeakageBody | None = Field(
        description="What of the rows to measure with is learned from too; null without a validation file, and until "
        "it was looked for."
    )
    estimate: JobEstimate | None
    started_at: int | None
    cancel_requested: bool
    pause_requested: bool
    blame: str | None
    cost_usd: float | None
    seconds: float | None
    base_heldout_loss: float | None
    tuned_heldout_loss: float | None
    results: dict[str, Any] | None
    queue_position: int | None
    starts_in_s: float | None
    created_by: str | None
    hardware: str
    priority: int
    start_after: int | None
    max_cost_usd: float | None
    warning: JobWarning | None
    cloned_from: str | None
    attempt: int
    num_interruptions: int
    actions: list[Action]
    failure: FailureBody | None


class FineTuningEvent(ResponseBody):
    id: str
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: Literal["info", "warn", "error"]
    message: str
    type: Literal["message", "metrics"]
    data: dict[str, Any] | None


class FineTuningCheckpoint(ResponseBody):
    id: str
    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuned_model_checkpoint: str
    fine_tuning_job_id: str
    step_number: int
    metrics: dict[str, float | int]


class MetricsList(ResponseBody):
    object: Literal["list"] = "list"
    data: list[dict[str, Any]]
    num_steps: int = Field(description="Of the whole curve in the range asked for, before any were left out.")
    is_downsampled: bool


def job_body(details: RunDetails) -> FineTuningJob:
    run, job, adapter = details.run, details.job, details.adapter
    request = RunRequest.model_validate(run.request)
    spec = TrainingSpec.model_validate(run.spec) if run.spec else None
    is_supervised = request.method_type is MethodType.SUPERVISED
    is_running = job.state is JobState.RUNNING
    return FineTuningJob(
        id=run.id,
        created_at=unix_s(run.created_at),
        finished_at=unix_s(job.finished_at) if job.finished_at else None,
        estimated_finish=unix_s(job.estimated_finish_at) if is_running and job.estimated_finish_at else None,
        model=run.base_model,
        fine_tuned_model=adapter.model_id if adapter else None,
        organization_id=run.workspace_id,
        status=_STATUS[job.state],
        error=_error(job.error) if job.state is JobState.FAILED else None,
        hyperparameters=hyperparameters_of(request, spec) if is_supervised else None,
        method=method_of(request, spec),
        training_file=run.training_file_id or "",
        validation_file=run.validation_file_id,
        result_files=[run.result_file_id] if run.result_file_id else [],
        trained_tokens=run.trained_tokens,
        seed=run.seed,
        integrations=[],
        metadata=run.user_metadata,
        user_provided_suffix=run.suffix,
        name=run.name,
        stage=job.stage if is_running else None,
        progress=_progress(details),
        recipe=run.recipe,
        adapter=adapter_of(request, spec),
        training=training_of(request, spec),
        max_length_tokens=spec.max_length_tokens if spec else None,
        learning_rate=spec.learning_rate if spec else None,
        dataset_version_id=run.dataset_version_id,
        dataset_name=details.dataset_name,
        validation_dataset_version_id=run.validation_version_id,
        leakage=leakage_body(leakage.of(run.estimate)),
        estimate=estimate_of(run.estimate) if run.estimate else None,
        started_at=unix_s(job.started_at) if job.started_at else None,
        cancel_requested=job.cancel_requested_at is not None,
        pause_requested=job.pause_requested_at is not None and job.state is not JobState.PAUSED,
        blame=job.blame.value if job.blame else None,
        cost_usd=None if run.cost_micros is None else usd(run.cost_micros),
        seconds=run.seconds,
        base_heldout_loss=run.base_heldout_loss,
        tuned_heldout_loss=run.tuned_heldout_loss,
        results=run.results,
        queue_position=details.outlook.position if details.outlook else None,
        starts_in_s=details.outlook.starts_in_s if details.outlook else None,
        created_by=run.created_by,
        hardware=run.hardware,
        **_terms(details),
        cloned_from=run.cloned_from,
        attempt=job.attempt,
        num_interruptions=job.num_interruptions,
        actions=actions_of(details),
        failure=failure_body(details),
    )


def _terms(details: RunDetails) -> dict[str, Any]:
    """When the run may be done and what it may cost."""
    run, job = details.run, details.job
    is_open = job.state not in TERMINAL
    return {
        "priority": job.priority,
        "start_after": unix_s(job.not_before) if job.not_before and is_open else None,
        "max_cost_usd": None if run.max_cost_micros is None else usd(run.max_cost_micros),
        "warning": warning_of(run.estimate, max_cost_micros=run.max_cost_micros) if is_open else None,
    }


def event_body(event: JobEvent) -> FineTuningEvent:
    return FineTuningEvent(
        id=event.id,
        created_at=unix_s(event.created_at),
        level=event.level.value,
        message=event.message,
        type=event.type.value,
        data=event.data,
    )


def checkpoint_body(adapter: Adapter) -> FineTuningCheckpoint:
    """Of the adapter that a run ships, what it came to; of another, what was measured at its step."""
    step, metrics = step_of(adapter), adapter.metrics
    if adapter.checkpoint_step is None:
        metrics = {wire: metrics.get(ours) for wire, ours in _METRICS_OF_RESULTS.items()}
    return FineTuningCheckpoint(
        id=f"{CHECKPOINT_PREFIX}{adapter.id.removeprefix(_ADAPTER_PREFIX)}",
        created_at=unix_s(adapter.created_at),
        fine_tuned_model_checkpoint=adapter.model_id,
        fine_tuning_job_id=adapter.run_id,
        step_number=step,
        metrics={"step": step} | {name: value for name, value in metrics.items() if value is not None},
    )


def adapter_id_of(checkpoint_id: str | None) -> str | None:
    return None if checkpoint_id is None else f"{_ADAPTER_PREFIX}{checkpoint_id.removeprefix(CHECKPOINT_PREFIX)}"


def _error(error: dict[str, Any] | None) -> FineTuningError:
    found = error or {}
    return FineTuningError(
        code=found.get("code") or "internal_error",
        message=found.get("message") or "The run failed.",
        param=found.get("param"),
    )


def _progress(details: RunDetails) -> Progress | None:
    job = details.job
    if job.progress_step is None or not job.progress_total_steps:
        return None
    seconds_left = None
    if job.estimated_finish_at and job.heartbeat_at and job.state is JobState.RUNNING:
        seconds_left = max(0.0, (job.estimated_finish_at - job.heartbeat_at).total_seconds())
    return Progress(
        step=job.progress_step,
        total_steps=job.progress_total_steps,
        fraction=min(1.0, job.progress_step / job.progress_total_steps),
        seconds_left=seconds_left,
    )
