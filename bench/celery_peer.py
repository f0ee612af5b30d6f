"""The peer for the time from submit to start: plain Celery on the same broker, one process, nothing durable."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celery import Celery

_STARTED = Path(os.environ.get("CELERY_PEER_FILE", "celery-peer.txt"))


def _app(url: str) -> Celery:
    app = Celery("peer", broker=url)
    app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=1, task_default_queue="peer")

    @app.task(name="peer.start", shared=False)
    def start(sent_at: float) -> None:
        with _STARTED.open("a") as stream:
            stream.write(f"{time.time() - sent_at}\n")

    return app


@contextmanager
def _worker(url: str, started: Path) -> Iterator[None]:
    env = {
        **os.environ,
        "CELERY_PEER_URL": url,
        "CELERY_PEER_FILE": str(started),
        "PYTHONPATH": str(Path(__file__).parent),
    }
    argv = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "celery_peer:served",
        "worker",
        "-c",
        "1",
        "-Q",
        "peer",
        "-l",
        "ERROR",
    ]
    process = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - ours
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def measure(url: str, folder: Path, num_tasks: int) -> list[float]:
    """Milliseconds from sending a task to its first line, one task at a time."""
    started = folder / "celery-peer.txt"
    app = _app(url)
    took_ms: list[float] = []
    with _worker(url, started):
        for number in range(num_tasks + 1):
            app.send_task("peer.start", args=[time.time()], queue="peer")
            while len(lines := started.read_text().split() if started.exists() else []) <= number:
                time.sleep(0.005)
            took_ms.append(float(lines[number]) * 1000)
    # the first waits for the worker to come up
    return took_ms[1:]


if "CELERY_PEER_URL" in os.environ:
    served = _app(os.environ["CELERY_PEER_URL"])
