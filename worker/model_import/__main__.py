"""`python -m worker.model_import RUN_DIR`: reads one adapter that a stranger made, in a process of its own.

It leaves the network before it has threads, and from then on no pickle is opened and no program started in it. The
exit code says how it ended.
"""

import logging
import signal
import sys
import threading
from pathlib import Path

from core.datasets.reading.confinement import leave_the_network

_FORBIDDEN = ("pickle.find_class", "socket.connect", "subprocess.", "os.exec", "os.posix_spawn", "os.system")


def _refuse(event: str, _: object) -> None:
    if event.startswith(_FORBIDDEN):
        raise PermissionError(f"{event} is not for whoever reads a stranger's model")


def main(folder: Path) -> int:
    if sys.platform == "linux":
        leave_the_network()
    # they start threads
    from transformers.utils.logging import disable_progress_bar  # noqa: PLC0415

    from worker import lease_file  # noqa: PLC0415
    from worker.model_import import run  # noqa: PLC0415

    sys.addaudithook(_refuse)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    lease_file.watch(folder)
    disable_progress_bar()
    return run.run(folder, stop.is_set)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.exit(main(Path(sys.argv[1])))
