"""`python -m tests.faults.worker_main QUEUE SETTINGS_FILE [TRAINER …]`: the real worker with a drill's settings.

TRAINER, if given, takes the place of `python -m worker.training`; the run folder is its last argument.
"""

import faulthandler
import json
import os
import select
import signal
import sys
import time
from pathlib import Path

from core.config import Settings
from core.jobs.kinds import QueueName
from worker.__main__ import serve


def bear_libfaketime() -> None:
    """Version 0.9.10 shifts sleeps on the monotonic clock as well, although it is told to leave that one alone."""

    def sleep(seconds: float) -> None:
        select.select([], [], [], seconds)

    time.sleep = sleep  # type: ignore[assignment]
    # the clock of a child is not what a drill is about
    del os.environ["LD_PRELOAD"]


def main() -> None:
    # so that a worker that does not end says where it is
    faulthandler.register(signal.SIGUSR1)
    if "FAKETIME_TIMESTAMP_FILE" in os.environ:
        bear_libfaketime()
    queue_name, settings_file, *trainer = sys.argv[1:]
    settings = Settings(**json.loads(Path(settings_file).read_text()))
    if trainer:
        serve(settings, QueueName(queue_name), trainer_argv=tuple(trainer))
    else:
        serve(settings, QueueName(queue_name))


if __name__ == "__main__":
    main()
