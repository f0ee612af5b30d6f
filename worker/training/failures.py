"""Which exit code and which sentence a failure deserves."""

import errno
from dataclasses import dataclass, field
from typing import Any

import torch

from core.errors import Invalid
from core.jobs.exit_codes import ExitCode


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
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Failure(ExitCode.DISK_FULL, "disk_full", "The disk of the training machine is full.")
    return Failure(ExitCode.BUG, "trainer_failed", f"The trainer stopped on an error of ours: {type(error).__name__}.")


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # the processor's allocator has no exception of its own
    is_allocator = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return is_allocator or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
