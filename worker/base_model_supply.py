"""A base model that is missing on this machine is fetched under the lease of the job that needs it.

It is nobody's failure: it spends no attempt, and where it cannot be fetched, the job goes to another worker.
"""

import logging
import shutil
import sys
import tempfile
from pathlib import Path

from core.base_models import service as base_models
from core.config import Settings, environment_of_hub
from core.jobs.exit_codes import ExitCode
from core.jobs.types import Lease
from worker.context import WorkContext
from worker.supervise import run_child

logger = logging.getLogger(__name__)

# downloads say nothing while they go on
_NO_PROGRESS_S = 4 * 3600


class BaseModelMissing(Exception):
    """For `worker.app`, which fetches the model and runs the task again. No failure of the job, so no `AppError`."""

    def __init__(self, model_id: str) -> None:
        super().__init__(f"The base model {model_id} is not on this machine's disk yet.")
        self.model_id = model_id


def require(settings: Settings, model_id: str) -> Path:
    """The folder of the model. Raises `BaseModelMissing`."""
    if not base_models.is_ready(settings, model_id):
        raise BaseModelMissing(model_id)
    return base_models.folder(settings, model_id).resolve()


def fetch(context: WorkContext, lease: Lease, model_id: str) -> bool:
    """Put the model on the disk; False if that failed. Raises what `run_child` raises."""
    logger.info("job %s needs the base model %s, which is not on this machine yet", lease.job_id, model_id)
    runs_dir = context.settings.runs_dir.resolve()
    runs_dir.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".base-model-", dir=runs_dir))
    if context.keeper is not None:
        context.keeper.note({"type": "stage", "stage": "loading_model"})
    try:
        child = run_child(
            [sys.executable, "-m", "worker.base_models", model_id],
            folder,
            lease,
            context=context,
            env={**environment_of_hub(), "TAILORBIRD_HOME": str(context.settings.home.resolve())},
            no_progress_s=_NO_PROGRESS_S,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if child.exit_code != ExitCode.DONE:
        logger.error("the base model %s could not be prepared: %s", model_id, child.stderr_tail[-500:].strip())
    return child.exit_code == ExitCode.DONE
