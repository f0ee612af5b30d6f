"""What the admin of an installation sees and sends."""

from typing import Any, Literal

from pydantic import Field

from api.schemas import RequestBody, ResponseBody
from core.inference.types import RuntimeName
from core.jobs.kinds import JobKind, QueueName
from core.jobs.states import AttemptOutcome, Blame, JobState
from core.monitoring.types import QueueState, WorkerStatus


class WorkspaceShareBody(ResponseBody):
    workspace_id: str
    name: str
    num_waiting: int
    num_running: int
    max_running: int | None = Field(description="Most jobs of this queue at once; null for the installation's limit.")


class QueueBody(ResponseBody):
    object: Literal["queue"] = "queue"
    name: QueueName
    state: QueueState = Field(description="`stuck`: jobs wait although a worker is idle, or nobody serves the queue.")
    num_waiting: int
    num_scheduled: int = Field(description="Queued for a later time.")
    num_running: int
    num_workers: int
    num_busy_workers: int
    oldest_wait_s: float | None
    claimed_last_hour: int
    finished_last_hour: int
    failed_last_hour: int
    median_wait_s: float | None = Field(description="Of the jobs claimed in the last hour.")
    workspaces: list[WorkspaceShareBody]


class QueueListBody(ResponseBody):
    object: Literal["list"] = "list"
    data: list[QueueBody]


class LimitChangeBody(RequestBody):
    max_running: int | None = Field(
        ge=0, le=10_000, description="0 holds all its jobs back; null for the installation's limit."
    )


class StorageChangeBody(RequestBody):
    max_bytes: int | None = Field(
        ge=1, le=2**53 - 1, description="What its files may take together; null for the installation's limit."
    )


class ProgressBody(ResponseBody):
    step: int
    total_steps: int


class WorkerJobBody(ResponseBody):
    id: str
    kind: JobKind
    run_id: str | None
    title: str
    workspace_name: str
    attempt: int
    started_at: int = Field(description="Of this attempt.")
    stage: str | None
    progress: ProgressBody | None
    lease_expires_at: int | None


class DeviceBody(ResponseBody):
    name: str
    memory_bytes: int | None = None
    used_bytes: int | None = None
    utilization: float | None = Field(None, description="From 0 to 1: the part of the time in which it computed.")


class WorkerBody(ResponseBody):
    id: str
    object: Literal["worker"] = "worker"
    hostname: str
    queue: QueueName
    pid: int
    version: str
    started_at: int
    heartbeat_at: int
    status: WorkerStatus
    hardware: str = Field(description="As in the table of prices, such as `cpu` or `gpu:h100`.")
    devices: list[DeviceBody]
    memory_bytes: int | None
    used_memory_bytes: int | None
    num_jobs_done: int
    token_name: str | None = Field(description="Of the worker token it joined with.")
    job: WorkerJobBody | None


class WorkerListBody(ResponseBody):
    object: Literal["list"] = "list"
    data: list[WorkerBody]


class DrainBody(RequestBody):
    mode: Literal["finish", "now"] = Field(
        "finish",
        description="`finish`: it ends its job first. `now`: the job keeps a checkpoint and goes to another worker.",
    )


class JobWorkspaceBody(ResponseBody):
    id: str
    name: str


class LeaseBody(ResponseBody):
    worker_id: str
    expires_at: int
    heartbeat_at: int


class AdminJobBody(ResponseBody):
    id: str
    object: Literal["job"] = "job"
    kind: JobKind
    queue: QueueName
    state: JobState
    stage: str | None
    priority: int
    workspace: JobWorkspaceBody
    run_id: str | None
    title: str = Field(description="What it does, in words, such as `Training claims-helper`.")
    attempt: int
    num_interruptions: int
    max_attempts: int
    progress: ProgressBody | None
    created_at: int
    queued_at: int | None
    not_before: int | None
    started_at: int | None
    finished_at: int | None
    wait_s: float | None = Field(description="How long it waits, or waited before it was last claimed.")
    lease: LeaseBody | None
    error: dict[str, Any] | None
    blame: Blame | None
    cancel_requested: bool
    pause_requested: bool
    created_by: str | None
    created_by_name: str | None


class AttemptBody(ResponseBody):
    attempt: int
    worker_id: str
    started_at: int
    ended_at: int | None
    outcome: AttemptOutcome | None
    seconds: float
    error: dict[str, Any] | None


class AdminJobDetailBody(AdminJobBody):
    attempts: list[AttemptBody]


class LogBody(ResponseBody):
    seq: int
    attempt: int
    text: str
    created_at: int


class LogListBody(ResponseBody):
    object: Literal["list"] = "list"
    data: list[LogBody]
    has_more: bool


class NewWorkerTokenBody(RequestBody):
    name: str = Field(min_length=1, max_length=100, description="Which machines will use it.")


class WorkerTokenBody(ResponseBody):
    id: str
    object: Literal["worker_token"] = "worker_token"
    name: str
    created_at: int
    last_used_at: int | None
    revoked_at: int | None
    num_workers: int = Field(description="Live workers that joined with it.")


class WorkerTokenListBody(ResponseBody):
    object: Literal["list"] = "list"
    data: list[WorkerTokenBody]


class MadeWorkerTokenBody(WorkerTokenBody):
    token: str = Field(description="The secret. It is shown this once and stored nowhere.")
    command: str = Field(description="What to run on the machine that is to work; its passwords are to be filled in.")


class BaseResidenceBody(ResponseBody):
    is_pinned: bool = Field(description="Loaded at the start and never evicted.")
    num_bytes: int = Field(description="Memory that it takes, with what it may recall of prompts; 0 while evicted.")
    num_loads: int
    num_evictions: int
    num_refused: int = Field(description="Questions told to come back, as it had no room or no turn in time.")
    load_s: float = Field(description="Of all its loads together.")


class AdapterUseBody(ResponseBody):
    num_hits: int = Field(description="Answers whose tuned model was in memory already.")
    num_misses: int = Field(description="Answers for which it had to be loaded.")
    num_evictions: int
    fetch_s: float = Field(description="Seconds in which they came from the disk or the object store, all together.")
    load_s: float = Field(description="Seconds in which they came from there into memory, all together.")
    num_bytes: int | None = Field(description="Of those in memory; null for vLLM, which does not say.")


class ModelServerBody(ResponseBody):
    object: Literal["model_server"] = "model_server"
    base_model: str
    runtime: RuntimeName = Field(description="What computes the answers: Tailorbird's own runtime, or vLLM.")
    status: Literal["starting", "ready", "restarting", "failed", "evicted"] = Field(
        description="`evicted`: another base model has its place in memory, until somebody asks for it again."
    )
    num_active: int = Field(description="Answers that are worked on.")
    num_waiting: int
    num_adapters: int = Field(description="Tuned models that are loaded on it.")
    num_restarts: int
    version: str | None = Field(description="Of vLLM; null for our own runtime, whose version is ours.")
    is_isolated: bool | None = Field(description="Whether its processes have no network; null for our own runtime.")
    problem: str | None
    residence: BaseResidenceBody | None = Field(
        description="Its place in the memory of our own runtime, and how that went since the start; null for vLLM."
    )
    adapters: AdapterUseBody = Field(description="How its tuned models were had since the start, all together.")


class ModelServerListBody(ResponseBody):
    object: Literal["list"] = "list"
    data: list[ModelServerBody]
    status: Literal["ready", "loading", "failed", "unreachable"] = Field(
        description="Of the model server as a whole; `unreachable` where it does not answer, and `data` is empty."
    )
    problem: str | None
    max_base_bytes: int | None = Field(
        description="What the base models of our own runtime may take of memory together; null if it does not answer."
    )
