"""`python -m worker io|cpu|gpu`: work on the jobs of one queue until told to stop."""

import argparse
import logging
import os
import signal
import socket
import sys
import threading
import warnings

from celery.exceptions import SecurityWarning

import core.tables  # noqa: F401 - a foreign key needs both of its tables known
from core.backends.registry import build_backends
from core.config import Settings
from core.db.session import Database
from core.jobs.kinds import QueueName
from core.kit.ids import new_id
from worker.app import WorkerProcess
from worker.context import WorkContext

TRAINER_ARGV = (sys.executable, "-m", "worker.training")

_LOOK_EVERY_S = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("queue", type=QueueName, choices=list(QueueName), help="the queue to serve")
    queue_name: QueueName = parser.parse_args().queue
    settings = Settings()
    if problems := settings.worker_problems():
        sys.exit("\n".join(problems))
    serve(settings, queue_name)


def serve(settings: Settings, queue_name: QueueName, *, trainer_argv: tuple[str, ...] = TRAINER_ARGV) -> None:
    """Work in this process until SIGTERM or SIGINT; what runs then is interrupted, and its job given back."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stdout, format=f"%(asctime)s %(levelname)s worker-{queue_name} %(message)s"
    )
    # Celery warns of root because of pickled messages; ours are JSON, and carry an id
    warnings.simplefilter("ignore", SecurityWarning)
    database = Database(settings.database_url)
    context = WorkContext(
        settings=settings,
        database=database,
        backends=build_backends(settings),
        worker_id=new_id(f"{queue_name}-{socket.gethostname()}-{os.getpid()}-"),
        trainer_argv=trainer_argv,
    )
    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_stop.set())
    process = WorkerProcess(context, queue_name)
    process.start()
    # the kernel may hand the signal to another thread; Python runs its handler when this one wakes
    while not asked_to_stop.wait(_LOOK_EVERY_S):
        pass
    logging.getLogger(__name__).info("stopping: what runs is interrupted and queued again")
    process.stop()
    database.dispose()


if __name__ == "__main__":
    main()
