"""Runs a trainer several times side by side, one process a GPU, as if it were one: what `torchrun` is for.

    python -m worker.training.several NUM RUN_DIR PROGRAM …

starts `PROGRAM … RUN_DIR RANK NUM MEETING` for each rank; MEETING is a folder where they find each other. The contract
of a child (docs/jobs.md) is kept towards the supervisor. SIGTERM is passed on, and the first process saves. As soon as
one fails, all end, and the exit status and the `error` line are those of the one that failed of itself; `torchrun`
makes each status a 1, and waits for collectives to time out. The kernel ends the processes with this one.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from core.config import environment_of_children
from core.jobs.exit_codes import ExitCode
from worker import launch
from worker.training.events import EventWriter

_POLL_S = 0.05
# for the others, once one has ended: those that notice say so, those that do not wait for it for ever
_LAST_WORDS_S = 5.0
_LOOPBACK = "lo" if sys.platform == "linux" else "lo0"
_NAMED = {ExitCode.USER_ERROR, ExitCode.OUT_OF_MEMORY, ExitCode.NON_FINITE_LOSS, ExitCode.DISK_FULL}


@dataclass(frozen=True, slots=True)
class Place:
    """Which of the processes of a run this is. Alone, it has nobody to meet."""

    rank: int = 0
    num: int = 1
    meeting: Path | None = None

    @classmethod
    def of(cls, arguments: Sequence[str]) -> "Place":
        """From what a process is started with, after its run folder: nothing, or `RANK NUM MEETING`."""
        if not arguments:
            return cls()
        rank, num, meeting = arguments
        return cls(int(rank), int(num), Path(meeting))

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def note_failure(self, *, code: str, message: str, details: dict[str, Any]) -> None:
        """Leaves an `error` line for whoever started the processes. Raises OSError."""
        if self.meeting is not None:
            line = {"code": code, "message": message, "details": details}
            _note(self.meeting, self.rank).write_text(json.dumps(line))


ALONE = Place()


def command(program: Sequence[str], folder: Path, num: int) -> list[str]:
    """What to start for a run of `num` processes."""
    if num == 1:
        return [*program, str(folder)]
    return [sys.executable, "-m", "worker.training.several", str(num), str(folder), *program]


def main(num: int, folder: Path, program: Sequence[str]) -> int:
    """The exit status, negative for a signal."""
    with TemporaryDirectory(prefix=".processes-", dir=folder, ignore_cleanup_errors=True) as meeting:
        processes = _Processes()
        processes.start([[*program, str(folder), str(rank), str(num), meeting] for rank in range(num)])
        culprit, status = verdict(processes.wait())
        note = _note(Path(meeting), culprit)
        if note.exists():
            with closing(EventWriter(folder / "events.jsonl")) as events, suppress(OSError):
                events.error(**json.loads(note.read_text()))
        return status


def verdict(statuses: Sequence[int | None]) -> tuple[int, int]:
    """The rank that decided how the run ended, and its status. None is one that was killed for the others' sake.

    The first one's success is everybody's. Otherwise: a process that loses another ends with a bug, or by a signal that
    its library sends, never with a failure that has a name.
    """
    if statuses[0] == ExitCode.DONE:
        return 0, ExitCode.DONE

    def standing(rank: int) -> int:
        status = statuses[rank]
        if status is None or status == ExitCode.DONE:
            return 4
        if status in _NAMED:
            return 0
        if status < 0:
            return 1
        return 3 if status == ExitCode.INTERRUPTED else 2

    culprit = min(range(len(statuses)), key=standing)
    status = statuses[culprit]
    # one that was done although the first was not
    return culprit, ExitCode.BUG if status is None or status == ExitCode.DONE else status


class _Processes:
    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._is_told_to_stop = False
        signal.signal(signal.SIGTERM, lambda *_: self._stop())

    def start(self, commands: Sequence[Sequence[str]]) -> None:
        # what they say to each other is nobody else's business
        environment = environment_of_children() | {"GLOO_SOCKET_IFNAME": _LOOPBACK, "NCCL_SOCKET_IFNAME": _LOOPBACK}
        launcher = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), "{}"]
        for command in commands:
            self._processes.append(subprocess.Popen([*launcher, *command], env=environment))  # noqa: S603 - ours
        if self._is_told_to_stop:
            self._stop()

    def wait(self) -> list[int | None]:
        """Until all have ended: by themselves, or because one has."""
        kill_at: float | None = None
        statuses = [process.poll() for process in self._processes]
        while None in statuses:
            if kill_at is None and _is_over(statuses):
                kill_at = time.monotonic() + _LAST_WORDS_S
            if kill_at is not None and time.monotonic() > kill_at:
                for process in self._processes:
                    process.kill()
                for process in self._processes:
                    process.wait()
                return statuses
            time.sleep(_POLL_S)
            statuses = [process.poll() for process in self._processes]
        return statuses

    def _stop(self) -> None:
        self._is_told_to_stop = True
        for process in self._processes:
            process.send_signal(signal.SIGTERM)


def _is_over(statuses: Sequence[int | None]) -> bool:
    """The first saves what all have stopped at, or have made; the others are not needed for that."""
    first, *others = statuses
    return first is not None or any(status not in {None, ExitCode.DONE, ExitCode.INTERRUPTED} for status in others)


def _note(meeting: Path, rank: int) -> Path:
    return meeting / f"failure-{rank}.json"


def _end_as(status: int) -> None:
    """Death by a signal is told by one, as of a single process."""
    if status < 0:
        if -status not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(-status, signal.SIG_DFL)
        signal.raise_signal(-status)
    sys.exit(status)


if __name__ == "__main__":
    _end_as(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
