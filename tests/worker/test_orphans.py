"""A child never outlives its supervisor's right to work: neither when that is killed nor when it only stands still."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.factories.children import DEAF, PRELUDE
from tests.factories.waiting import eventually

# keeps a lease of two seconds, as the real keeper does, for as long as this process may run
SUPERVISOR = """
import sys, threading, time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from core.config import Settings
from core.jobs.kinds import JobKind
from core.jobs.types import Lease
from worker.context import WorkContext
from worker.supervise import run_child

@contextmanager
def shared_with(lease_file):
    def renew():
        while True:
            lease_file.write(time.monotonic() + 2)
            time.sleep(0.1)
    lease_file.write(time.monotonic() + 2)
    threading.Thread(target=renew, daemon=True).start()
    yield

keeper = SimpleNamespace(
    is_lost=False, cancel_requested=False, pause_requested=False, note=lambda line: None,
    note_output=lambda chunk: None, flush=lambda: True, shared_with=shared_with)
context = WorkContext(settings=Settings(), database=None, backends=None, worker_id="w", keeper=keeper)
lease = Lease(job_id="j", workspace_id="w", kind=JobKind.TRAINING_RUN, attempt=1, payload={}, worker_id="w")
run_child([sys.executable, "-c", sys.argv[2], sys.argv[1]], Path(sys.argv[1]), lease, context=context)
"""
WATCHING = "from pathlib import Path\nfrom worker import lease_file\nlease_file.watch(Path(sys.argv[1]))\n"
TELL = "say(type='result', data={'pid': os.getpid()})\n"


@contextmanager
def supervised(folder: Path, child: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(folder), PRELUDE + child]) as supervisor:
        events = folder / "events.jsonl"
        eventually(lambda: events.exists() and events.read_text().count("\n") == 2, timeout_s=30)
        pid = json.loads(events.read_text().splitlines()[0])["data"]["pid"]
        assert psutil.pid_exists(pid)
        try:
            yield supervisor, pid
        finally:
            supervisor.kill()


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(lambda supervisor: supervisor.kill(), id="killed"),
        pytest.param(lambda supervisor: supervisor.send_signal(signal.SIGSTOP), id="stopped"),
    ],
)
def test_the_child_of_a_supervisor_that_is_no_more_dies(
    tmp_path: Path, ending: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    with supervised(tmp_path, WATCHING + TELL + DEAF) as (supervisor, pid):
        ending(supervisor)
        eventually(lambda: is_gone(pid), timeout_s=10)


def test_a_child_whose_folder_is_gone_ends_itself(tmp_path: Path) -> None:
    with supervised(tmp_path, WATCHING + TELL + DEAF) as (_, pid):
        (tmp_path / "lease").unlink()
        eventually(lambda: is_gone(pid), timeout_s=10)


def test_a_child_that_was_started_by_hand_is_left_alone(tmp_path: Path) -> None:
    script = WATCHING + "import threading\nassert threading.active_count() == 1"
    subprocess.run([sys.executable, "-c", "import sys\n" + script, str(tmp_path)], check=True)
