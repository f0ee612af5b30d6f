"""What starts the processes of a run, with programs that only end: each in its own way."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from core.jobs.exit_codes import ExitCode
from tests.worker.training.conftest import events_of
from worker.training import several
from worker.training.several import ALONE, Place

RANKS = """
import json, os, pathlib, signal, sys, time
folder, rank, num, meeting = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4])
def fail(code, status):
    (meeting / f"failure-{rank}.json").write_text(json.dumps({"code": code, "message": f"rank {rank}", "details": {}}))
    sys.exit(status)
(folder / f"pid-{rank}").write_text(str(os.getpid()))
while len(list(folder.glob("pid-*"))) < num:
    time.sleep(0.01)
"""
WAIT = "time.sleep(600)\n"


def start(folder: Path, script: str, num: int = 2) -> subprocess.Popen[bytes]:
    (folder / "ranks.py").write_text(RANKS + script)
    return subprocess.Popen(several.command([sys.executable, str(folder / "ranks.py")], folder, num))


def wait_for_ranks(folder: Path, num: int = 2) -> list[psutil.Process]:
    deadline = time.monotonic() + 20
    while not all((folder / f"pid-{rank}").exists() and (folder / f"pid-{rank}").read_text() for rank in range(num)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return [psutil.Process(int((folder / f"pid-{rank}").read_text())) for rank in range(num)]


def test_alone_the_program_is_started_as_it_is(tmp_path: Path) -> None:
    assert several.command(["python", "-m", "trainer"], tmp_path, 1) == ["python", "-m", "trainer", str(tmp_path)]
    assert Place.of([]) == ALONE
    assert Place.of(["1", "4", "/run/meeting"]) == Place(1, 4, Path("/run/meeting"))


def test_all_are_done(tmp_path: Path) -> None:
    assert start(tmp_path, "", num=3).wait(20) == ExitCode.DONE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pid-0", "pid-1", "pid-2", "ranks.py"]


def test_the_one_that_failed_of_itself_has_the_last_word(tmp_path: Path) -> None:
    """The first fails only because the second is gone, and would call that a bug."""
    script = (
        "if rank == 1: fail('out_of_memory', 4)\n"
        "while not (meeting / 'failure-1.json').exists(): time.sleep(0.01)\n"
        "fail('trainer_failed', 1)"
    )
    assert start(tmp_path, script).wait(20) == ExitCode.OUT_OF_MEMORY
    [line] = events_of(tmp_path, "error")
    assert (line["code"], line["message"]) == ("out_of_memory", "rank 1")


def test_one_that_waits_for_the_dead_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start(tmp_path, WAIT)
    ranks = wait_for_ranks(tmp_path)
    ranks[1].kill()
    assert process.wait(20) == -signal.SIGKILL
    assert not any(rank.is_running() for rank in ranks)


def test_a_stop_is_passed_on_and_the_first_may_take_its_time(tmp_path: Path) -> None:
    script = (
        "def stop(*_):\n"
        "    time.sleep(0.5 if rank == 0 else 0)\n"
        "    (folder / f'stopped-{rank}').touch()\n"
        "    sys.exit(3)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "(folder / f'ready-{rank}').touch()\n"
    )
    process = start(tmp_path, script + WAIT)
    deadline = time.monotonic() + 20
    while len(list(tmp_path.glob("ready-*"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == ExitCode.INTERRUPTED
    assert len(list(tmp_path.glob("stopped-*"))) == 2


def test_they_do_not_outlive_who_started_them(tmp_path: Path) -> None:
    process = start(tmp_path, WAIT)
    ranks = wait_for_ranks(tmp_path)
    process.kill()
    process.wait()
    psutil.wait_procs(ranks, timeout=10)
    assert not any(rank.is_running() and rank.status() != psutil.STATUS_ZOMBIE for rank in ranks)


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ([0, 0], (0, 0)),
        ([0, 1], (0, 0)),  # what the run is for is there
        ([3, 3], (0, 3)),
        ([1, 5], (1, 5)),
        ([5, 5], (0, 5)),
        ([1, 1], (0, 1)),
        ([1, -9], (1, -9)),
        ([None, 1], (1, 1)),
        ([-6, 4], (1, 4)),  # nccl aborts a process that loses another
        ([6, 3], (0, 6)),  # the first had no room for the checkpoint
        ([1, 3], (0, 1)),
        ([None, 0], (0, 1)),
    ],
)
def test_whose_end_it_was(statuses: list[int | None], verdict: tuple[int, int]) -> None:
    assert several.verdict(statuses) == verdict


def test_a_failure_on_a_full_disk_is_told_by_its_code_alone(tmp_path: Path) -> None:
    ALONE.note_failure(code="x", message="y", details={})
    place = Place(1, 2, tmp_path)
    place.note_failure(code="disk_full", message="It is full.", details={})
    assert json.loads((tmp_path / "failure-1.json").read_text())["code"] == "disk_full"
