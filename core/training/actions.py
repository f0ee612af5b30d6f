"""What may be done with a run as it stands: the page shows these as buttons, and the service refuses the rest."""

from enum import StrEnum

from core.jobs.states import CANCELLED_AT_ONCE, JobState
from core.training.types import RunDetails


class Action(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    CLONE = "clone"
    MOVE = "move"


def actions_of(details: RunDetails) -> list[Action]:
    """In the order of buttons. A failed run that was planned can be continued; one whose data failed cannot."""
    run, job = details.run, details.job
    is_stopping = job.cancel_requested_at is not None
    may = {
        Action.PAUSE: job.state in {JobState.VALIDATING, JobState.QUEUED, JobState.RUNNING}
        and job.pause_requested_at is None
        and not is_stopping,
        Action.RESUME: job.state is JobState.PAUSED or (job.state is JobState.FAILED and run.spec is not None),
        Action.CANCEL: job.state in CANCELLED_AT_ONCE or (job.state is JobState.RUNNING and not is_stopping),
        Action.CLONE: True,
        Action.MOVE: job.state is JobState.QUEUED,
    }
    return [action for action, is_possible in may.items() if is_possible]
