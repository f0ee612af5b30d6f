"""Why work ends without a result: whose fault, in which words, whether it is tried again, and what puts it right.

One table by code. An exit code, a kernel that ran out of memory, a watchdog that lost patience all lead to a row of it.
"""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal

from core.jobs.exit_codes import ExitCode
from core.jobs.states import Blame
from core.jobs.types import JobError


class FailureClass(StrEnum):
    """What a failure is counted as, and what its page looks like."""

    USER_ERROR = "user_error"
    PLATFORM_ERROR = "platform_error"
    OUT_OF_MEMORY = "out_of_memory"
    NON_FINITE_LOSS = "non_finite_loss"
    INTERRUPTED = "interrupted"
    BUDGET = "budget"
    DISK_FULL = "disk_full"
    NO_PROGRESS = "no_progress"
    WORKER_LOST = "worker_lost"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Retries of one failure code. They also count among the attempts of the job, whatever they are of."""

    max_retries: int | None = None
    """None: as many as the job has attempts."""
    payload_changes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What the next attempt is told to do differently."""
    told: str | None = None
    """What the user is told of it, where "it is tried again" is not all."""


@dataclass(frozen=True, slots=True)
class Fix:
    """What a button offers. `changes` are fields of the body that creates the clone."""

    action: Literal["continue", "clone", "edit_data"]
    label: str
    changes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Failure:
    blame: Blame
    code: str
    failure_class: FailureClass
    message: str
    """What happened, in plain words."""
    advice: str
    """What to do about it."""
    retry: RetryPolicy
    fix: Fix | None

    @property
    def may_retry(self) -> bool:
        """Another attempt, unchanged or with less memory, may succeed."""
        return self.retry.max_retries != 0

    def retries_left(self, num_before: int) -> int | None:
        """Retries left after `num_before` attempts ended with this code; None: the job's attempts decide."""
        return None if self.retry.max_retries is None else max(0, self.retry.max_retries - num_before)


_NEVER: Final = RetryPolicy(max_retries=0)
_AS_OFTEN_AS_THE_JOB: Final = RetryPolicy()
# half the tokens of a micro-batch hold half the activations; the effective batch, and what is learned, stay
_WITH_HALF_THE_MEMORY: Final = RetryPolicy(
    max_retries=1,
    payload_changes=MappingProxyType({"micro_batch_divisor": 2}),
    told="The machine's memory was not enough. It is tried once more with half as much at a time, to the same effect.",
)
# what hangs twice at the same place will hang a third time
_ONCE: Final = RetryPolicy(max_retries=1)

_CONTINUE: Final = Fix("continue", "Continue from where it was")
_EDIT_DATA: Final = Fix("edit_data", "Look at the data")
_LOWER_RATE: Final = Fix(
    "clone",
    "Try again with a lower learning rate",
    {"method": {"type": "supervised", "supervised": {"hyperparameters": {"learning_rate_multiplier": 0.2}}}},
)
_LESS_MEMORY: Final = Fix(
    "clone", "Try again with a smaller adapter", {"recipe": "fast", "adapter": {"type": "qlora", "rank": 8}}
)

_ALL: Final = (
    Failure(
        Blame.PLATFORM_ERROR,
        "internal_error",
        FailureClass.PLATFORM_ERROR,
        "The work stopped because of a mistake in our software.",
        "It cost you nothing. Continue it; if it happens once more, tell your admin.",
        _AS_OFTEN_AS_THE_JOB,
        _CONTINUE,
    ),
    Failure(
        Blame.USER_ERROR,
        "bad_input",
        FailureClass.USER_ERROR,
        "Something in your data or your choices made the work impossible.",
        "Correct it and start again.",
        _NEVER,
        _EDIT_DATA,
    ),
    Failure(
        Blame.PLATFORM_ERROR,
        "interrupted",
        FailureClass.INTERRUPTED,
        "The work was interrupted.",
        "It goes on from where it was as soon as a machine is free.",
        _AS_OFTEN_AS_THE_JOB,
        _CONTINUE,
    ),
    Failure(
        Blame.PLATFORM_ERROR,
        "out_of_memory",
        FailureClass.OUT_OF_MEMORY,
        "The work needs more memory than the machine has, even in half the portions.",
        "It cost you nothing. Choose a smaller adapter or the fast recipe, shorten the longest examples, or take a "
        "smaller base model.",
        _WITH_HALF_THE_MEMORY,
        _LESS_MEMORY,
    ),
    Failure(
        Blame.USER_ERROR,
        "non_finite_loss",
        FailureClass.NON_FINITE_LOSS,
        "The training went astray: its error grew beyond all bounds.",
        "Nothing was published. Start it again with a lower learning rate, or with the recipe we recommend.",
        _NEVER,
        _LOWER_RATE,
    ),
    Failure(
        Blame.PLATFORM_ERROR,
        "disk_full",
        FailureClass.DISK_FULL,
        "The machine's disk is full.",
        "It cost you nothing, and the last checkpoint is kept. Ask your admin to make room, then continue.",
        _AS_OFTEN_AS_THE_JOB,
        _CONTINUE,
    ),
    Failure(
        Blame.PLATFORM_ERROR,
        "process_killed",
        FailureClass.PLATFORM_ERROR,
        "Something on the machine ended the work from outside.",
        "It cost you nothing. Continue it; if it happens once more, tell your admin.",
        _AS_OFTEN_AS_THE_JOB,
        _CONTINUE,
    ),
    Failure(
        Blame.PLATFORM_ERROR,
        "no_progress",
        FailureClass.NO_PROGRESS,
        "The work stood still and was ended.",
        "It cost you nothing. Start it again, or continue the run; if it happens once more, tell your admin.",
        _ONCE,
        _CONTINUE,
    ),
    Failure(
        Blame.PLATFORM_ERROR,
        "worker_lost",
        FailureClass.WORKER_LOST,
        "The machine that worked on this stopped answering, again and again.",
        "This is our fault, and it cost you nothing. Start it again, or continue the run, and tell your admin if it "
        "happens once more.",
        _AS_OFTEN_AS_THE_JOB,
        _CONTINUE,
    ),
    Failure(
        Blame.PLATFORM_ERROR,
        "storage_unavailable",
        FailureClass.PLATFORM_ERROR,
        "Our storage did not answer for a long time.",
        "Nothing was lost: continue it, and nothing that was trained is trained again.",
        _AS_OFTEN_AS_THE_JOB,
        _CONTINUE,
    ),
    Failure(
        Blame.PLATFORM_ERROR,
        "adapter_damaged",
        FailureClass.PLATFORM_ERROR,
        "The trained model did not arrive whole in our storage, so it was not published.",
        "Nothing was lost: continue it, and it is stored without training again.",
        _AS_OFTEN_AS_THE_JOB,
        _CONTINUE,
    ),
    Failure(
        Blame.PLATFORM_ERROR,
        "file_corrupt",
        FailureClass.PLATFORM_ERROR,
        "The stored file is not the one that was uploaded: our storage has damaged it.",
        "Nothing was learned from it. Upload the file again, and tell your admin.",
        RetryPolicy(max_retries=1),
        _EDIT_DATA,
    ),
    Failure(
        Blame.BUDGET,
        "budget_reached",
        FailureClass.BUDGET,
        "The run reached the limit you set for its cost.",
        "It is paused and everything so far is kept. Continue it with a higher limit, or cancel it.",
        _NEVER,
        Fix("continue", "Continue with a higher limit"),
    ),
    Failure(
        Blame.USER_ERROR,
        "time_limit",
        FailureClass.USER_ERROR,
        "The work took longer than is allowed.",
        "Make it smaller: split the file, or use fewer examples.",
        _NEVER,
        _EDIT_DATA,
    ),
    Failure(
        Blame.USER_ERROR,
        "size_limit",
        FailureClass.USER_ERROR,
        "The work wrote more than is allowed.",
        "Make it smaller: split the file, or use fewer examples.",
        _NEVER,
        _EDIT_DATA,
    ),
)
FAILURES: Final[Mapping[str, Failure]] = MappingProxyType({failure.code: failure for failure in _ALL})
_CODE_OF_EXIT: Final[Mapping[int, str]] = {
    ExitCode.BUG: "internal_error",
    ExitCode.USER_ERROR: "bad_input",
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.OUT_OF_MEMORY: "out_of_memory",
    ExitCode.NON_FINITE_LOSS: "non_finite_loss",
    ExitCode.DISK_FULL: "disk_full",
    -signal.SIGKILL: "process_killed",
    -signal.SIGXCPU: "time_limit",
    -signal.SIGXFSZ: "size_limit",
}


def failure_with_code(code: str) -> Failure | None:
    """The failure behind the code of a job's error; None for a code of the child's own about the user's data."""
    return FAILURES.get(code)


def failure_of(
    exit_code: int,
    reported: JobError | None = None,
    *,
    memory_was_exhausted: bool = False,
    made_no_progress: bool = False,
) -> Failure:
    """The failure behind an exit code other than 0, and behind what the supervisor saw.

    Of the user's own mistakes the child's words go before ours; its words about our faults are for us, in the log.
    """
    if memory_was_exhausted:
        return FAILURES["out_of_memory"]
    if made_no_progress:
        return FAILURES["no_progress"]
    failure = FAILURES[_CODE_OF_EXIT.get(exit_code, "internal_error")]
    if reported is None or failure.blame is not Blame.USER_ERROR:
        return failure
    return replace(failure, code=reported["code"], message=reported["message"], advice="")


def error_of(exit_code: int, reported: JobError | None = None) -> JobError:
    """What to show, with the details that the child reported."""
    return error_from(failure_of(exit_code, reported), reported)


def error_from(failure: Failure, reported: JobError | None = None) -> JobError:
    """A failure as its job keeps it."""
    details = reported.get("details", {}) if reported is not None else {}
    return {"code": failure.code, "message": f"{failure.message} {failure.advice}".strip(), "details": details}
