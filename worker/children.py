"""What a child may use, how it ended, and why it was ended."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from core.jobs.types import JobError


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What the kernel refuses the child; None is no limit."""

    max_memory_bytes: int | None = None
    """Of address space. Not for torch, which reserves far more than it uses."""
    max_cpu_s: int | None = None
    max_file_bytes: int | None = None
    max_open_files: int | None = None

    def as_json(self) -> str:
        named = {
            "RLIMIT_AS": self.max_memory_bytes,
            "RLIMIT_CPU": self.max_cpu_s,
            "RLIMIT_FSIZE": self.max_file_bytes,
            "RLIMIT_NOFILE": self.max_open_files,
            "RLIMIT_CORE": 0,
        }
        return json.dumps({name: value for name, value in named.items() if value is not None})


@dataclass(frozen=True, slots=True)
class ChildResult:
    exit_code: int
    """As in `core.jobs.exit_codes`; negative is the signal that killed it."""
    result: dict[str, Any] | None
    """Data of its last `result` line."""
    error: JobError | None
    """Its last `error` line."""
    seconds: float
    stderr_tail: str
    billable_s: float = 0.0
    """As it last reported."""
    memory_was_exhausted: bool = False
    """The kernel killed it for memory, or it used more than `child_memory_bytes`."""
    made_no_progress: bool = False
    """It said nothing for `no_progress_s`, and was ended for that."""


class ChildStopped(Exception):
    """The child ended because we ended it. `worker.app` does what the subclass asks for."""

    def __init__(self, result: ChildResult) -> None:
        super().__init__(type(self).__name__)
        self.result = result


class JobCancelled(ChildStopped):
    """Its owner asked for that."""


class JobInterrupted(ChildStopped):
    """This worker was told to end, or is drained; another continues the job."""


class LeaseLost(ChildStopped):
    """The job may be another worker's by now: write nothing, publish nothing."""


class JobPaused(ChildStopped):
    """It has saved its place. Its owner asked for that, or it has used up what it may cost."""

    def __init__(self, result: ChildResult, reason: Literal["requested", "budget"]) -> None:
        super().__init__(result)
        self.reason = reason
