"""Which exit code and which sentence a failure deserves."""

import errno
import re
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError

from core.errors import Invalid
from core.jobs.exit_codes import ExitCode

_ALLOCATOR_WORDS = ("can't allocate memory", "not enough memory", "std::bad_alloc", "can't start new thread")
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


class Interrupted(Exception):
    """Told to stop; a checkpoint of the last finished step lies in the run folder if training had begun."""


class NonFiniteLoss(Exception):
    """The loss or its gradient became infinite or not a number; the weights of the step before are untouched."""


@dataclass(frozen=True, slots=True)
class Failure:
    exit_code: ExitCode
    code: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)


def classify(error: Exception) -> Failure:
    if isinstance(error, Interrupted):
        return Failure(ExitCode.INTERRUPTED, "interrupted", "Training was stopped; it can continue where it was.")
    if isinstance(error, Invalid):
        return Failure(ExitCode.USER_ERROR, error.error_code, error.message, error.details)
    if isinstance(error, NonFiniteLoss):
        return Failure(ExitCode.NON_FINITE_LOSS, "non_finite_loss", str(error))
    if _is_out_of_memory(error):
        return Failure(
            ExitCode.OUT_OF_MEMORY,
            "out_of_memory",
            "The machine's memory was not enough. Shorten the longest examples or choose a smaller base model.",
        )
    if _is_disk_full(error):
        return Failure(ExitCode.DISK_FULL, "disk_full", "The disk of the training machine is full.")
    return Failure(ExitCode.BUG, "trainer_failed", f"The trainer stopped on an error of ours: {type(error).__name__}.")


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # neither the processor's allocator nor a thread that cannot start has an exception of its own
    is_allocator = isinstance(error, RuntimeError) and any(words in str(error) for words in _ALLOCATOR_WORDS)
    return is_allocator or _errno_of(error) == errno.ENOMEM


def _is_disk_full(error: Exception) -> bool:
    # numpy looks before it writes, and then has words but no number
    is_numpy = isinstance(error, OSError) and error.errno is None and "free space" in str(error)
    return is_numpy or _errno_of(error) in {errno.ENOSPC, errno.EDQUOT}


def _errno_of(error: Exception) -> int | None:
    """Also of safetensors' errors, which name the system's only in their text."""
    if isinstance(error, OSError):
        return error.errno
    match = _OS_ERROR.search(str(error)) if isinstance(error, SafetensorError) else None
    return int(match[1]) if match else None
