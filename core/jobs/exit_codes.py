from enum import IntEnum


class ExitCode(IntEnum):
    """What the exit status of a job's child process says. Anything else, and death by a signal, reads as `BUG`."""

    DONE = 0
    BUG = 1
    USER_ERROR = 2
    INTERRUPTED = 3
    """It was told to stop, left its last checkpoint behind, and can be continued."""
    OUT_OF_MEMORY = 4
    NON_FINITE_LOSS = 5
    DISK_FULL = 6
