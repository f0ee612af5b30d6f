"""`python -m worker.export RUN_DIR`: packs one model, in a process of its own. The exit code says how it ended."""

import logging
import signal
import sys
import threading
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from core.jobs.exit_codes import ExitCode
from worker import lease_file
from worker.export import run


def main(folder: Path) -> ExitCode:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    lease_file.watch(folder)
    disable_progress_bar()
    return run.run(folder, stop.is_set)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.exit(main(Path(sys.argv[1])))
