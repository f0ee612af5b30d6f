"""Which module does which kind of job, and what it is given."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Final, Protocol, cast

from sqlalchemy.orm import Session

from core.jobs.kinds import JobKind
from core.jobs.models import Job
from core.jobs.types import Lease
from worker.context import WorkContext

__all__ = ["Handlers", "TaskHandler", "WorkContext", "handler_of"]


class TaskHandler(Protocol):
    """A module of `worker.tasks`."""

    def run(self, context: WorkContext, lease: Lease) -> None:
        """Do the work and `finish` the job.

        Endings that are not the work's own are raised by `run_child` and handled in `worker.app`: cancelled,
        interrupted, lease lost. Any other exception gives the job back for another attempt.
        """

    def settle(self, session: Session, job: Job) -> None:
        """The job ended without `run` finishing it. Bring what belongs to it in order, in the same transaction."""


_MODULES: Final[Mapping[JobKind, str]] = {
    JobKind.FILE_IMPORT: "worker.tasks.imports",
    JobKind.DATASET_INGEST: "worker.tasks.datasets",
    JobKind.DATASET_DERIVE: "worker.tasks.derivations",
    JobKind.PERSON_ERASURE: "worker.tasks.erasures",
    JobKind.MODEL_EXPORT: "worker.tasks.exports",
    JobKind.MODEL_IMPORT: "worker.tasks.model_imports",
    JobKind.TRAINING_RUN: "worker.tasks.training",
    JobKind.SCALING_STUDY: "worker.tasks.scaling",
}

Handlers = Callable[[JobKind], TaskHandler]


def handler_of(kind: JobKind) -> TaskHandler:
    """By name, because task modules import from here."""
    return cast("TaskHandler", import_module(_MODULES[kind]))
