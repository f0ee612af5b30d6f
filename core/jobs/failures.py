"""What the end of a job's child process means: whose fault, in which words, and whether to try again."""

import signal
from dataclasses import dataclass
from typing import Final

from core.jobs.exit_codes import ExitCode
from core.jobs.states import Blame
from core.jobs.types import JobError


@dataclass(frozen=True, slots=True)
class Failure:
    blame: Blame
    code: str
    message: str
    """What happened, in plain words."""
    advice: str
    """What to do about it."""
    may_retry: bool
    """Another attempt, unchanged or with less memory, may succeed."""


_BUG: Final = Failure(
    Blame.PLATFORM_ERROR,
    "internal_error",
    "The work stopped because of a mistake in our software.",
    "It cost you nothing. Start it again; if it happens once more, tell your admin.",
    may_retry=True,
)
_KILLED: Final = Failure(
    Blame.PLATFORM_ERROR,
    "process_killed",
    "The machine ended the work, most likely because its memory was full.",
    "It cost you nothing. Try again with a shorter maximum length or a smaller batch, or ask your admin for a larger "
    "machine.",
    may_retry=True,
)
FAILURES: Final[dict[int, Failure]] = {
    ExitCode.BUG: _BUG,
    ExitCode.USER_ERROR: Failure(
        Blame.USER_ERROR,
        "bad_input",
        "Something in your data or your choices made the work impossible.",
        "Correct it and start again.",
        may_retry=False,
    ),
    ExitCode.INTERRUPTED: Failure(
        Blame.PLATFORM_ERROR,
        "interrupted",
        "The work was interrupted.",
        "It goes on from where it was as soon as a machine is free.",
        may_retry=True,
    ),
    ExitCode.OUT_OF_MEMORY: Failure(
        Blame.PLATFORM_ERROR,
        "out_of_memory",
        "The work needs more memory than the machine has.",
        "It cost you nothing. Choose a shorter maximum length, a smaller batch or a smaller model.",
        may_retry=True,
    ),
    ExitCode.NON_FINITE_LOSS: Failure(
        Blame.USER_ERROR,
        "non_finite_loss",
        "The training went astray: its error grew beyond all bounds.",
        "Choose a lower learning rate, or the recipe we recommend, and start again.",
        may_retry=False,
    ),
    ExitCode.DISK_FULL: Failure(
        Blame.PLATFORM_ERROR,
        "disk_full",
        "The machine's disk is full.",
        "It cost you nothing. Ask your admin to make room, then start again.",
        may_retry=True,
    ),
    -signal.SIGKILL: _KILLED,
    -signal.SIGXCPU: Failure(
        Blame.USER_ERROR,
        "time_limit",
        "The work took longer than is allowed.",
        "Make it smaller: split the file, or use fewer examples.",
        may_retry=False,
    ),
    -signal.SIGXFSZ: Failure(
        Blame.USER_ERROR,
        "size_limit",
        "The work wrote more than is allowed.",
        "Make it smaller: split the file, or use fewer examples.",
        may_retry=False,
    ),
}


def failure_of(exit_code: int, reported: JobError | None = None) -> Failure:
    """The failure behind an exit code other than 0. What the child itself reported of it goes before our words."""
    failure = FAILURES.get(exit_code, _BUG)
    if reported is None or failure.blame is not Blame.USER_ERROR:
        # of our own faults the child's words are for us (they are in the log), not for the user
        return failure
    return Failure(failure.blame, reported["code"], reported["message"], "", may_retry=False)


def error_of(exit_code: int, reported: JobError | None = None) -> JobError:
    """What to show, with the details that the child reported."""
    failure = failure_of(exit_code, reported)
    details = reported.get("details", {}) if reported is not None else {}
    return {"code": failure.code, "message": f"{failure.message} {failure.advice}".strip(), "details": details}
