"""`python -m worker.training RUN_DIR`: one run, or one process of several. The exit code says how it ended."""

import logging
import os
import signal
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from core.jobs.exit_codes import ExitCode
from worker import lease_file
from worker.training import run
from worker.training.allocator import keep_freed_memory
from worker.training.events import EventWriter
from worker.training.failures import classify
from worker.training.several import ALONE, Place

logger = logging.getLogger(__name__)


def main(folder: Path, place: Place = ALONE) -> ExitCode:
    """Of several processes the first alone is heard; why one failed is told by whoever started them (`several.py`)."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    lease_file.watch(folder)
    keep_freed_memory()
    disable_progress_bar()  # transformers' bars; ours are events
    with closing(EventWriter(folder / "events.jsonl" if place.is_first else Path(os.devnull))) as events:
        return _execute(folder, events, stop, place)


def _execute(folder: Path, events: EventWriter, stop: threading.Event, place: Place) -> ExitCode:
    try:
        run.execute(folder, events=events, stop_requested=stop.is_set, place=place)
    except Exception as error:
        failure = classify(error)
        if failure.exit_code is ExitCode.BUG:
            logger.exception("training failed")
        if failure.exit_code is not ExitCode.INTERRUPTED:
            tell = events.error if place.num == 1 else place.note_failure
            with suppress(OSError):  # on a full disk the exit code has to do
                tell(code=failure.code, message=failure.message, details=failure.details)
        return failure.exit_code
    return ExitCode.DONE


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.exit(main(Path(sys.argv[1]), Place.of(sys.argv[2:])))
