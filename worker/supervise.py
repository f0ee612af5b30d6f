"""Runs one child process under one lease.

The child has its own session, limits, and an environment without our secrets; it dies with this process. It says what
it does in `RUN_DIR/events.jsonl`. This thread never talks to the database, so it always sees in time that the lease is
lost, that a cancel was asked for, or that this process is to end.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from core.config import environment_of_children
from core.jobs.types import JobError, Lease
from worker import launch
from worker.context import WorkContext
from worker.events_file import EventsFile
from worker.lease_keeper import LeaseKeeper

logger = logging.getLogger(__name__)

_POLL_S = 0.1
_STDERR_BYTES = 64 * 1024
EVENTS_FILE = "events.jsonl"
STDERR_FILE = "stderr.log"


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What the kernel refuses the child; None is no limit."""

    max_memory_bytes: int | None = None
    """Of address space. Not for torch, which reserves far more than it uses."""
    max_cpu_s: int | None = None
    max_file_bytes: int | None = None
    max_open_files: int | None = None

    def as_json(self) -> str:
        named = {
            "RLIMIT_AS": self.max_memory_bytes,
            "RLIMIT_CPU": self.max_cpu_s,
            "RLIMIT_FSIZE": self.max_file_bytes,
            "RLIMIT_NOFILE": self.max_open_files,
            "RLIMIT_CORE": 0,
        }
        return json.dumps({name: value for name, value in named.items() if value is not None})


@dataclass(frozen=True, slots=True)
class ChildResult:
    exit_code: int
    """As in `core.jobs.exit_codes`; negative is the signal that killed it."""
    result: dict[str, Any] | None
    """Data of its last `result` line."""
    error: JobError | None
    """Its last `error` line."""
    seconds: float
    stderr_tail: str


class ChildStopped(Exception):
    """The child ended because we ended it. `worker.app` does what the subclass asks for."""

    def __init__(self, result: ChildResult) -> None:
        super().__init__(type(self).__name__)
        self.result = result


class JobCancelled(ChildStopped):
    """Its owner asked for that."""


class JobInterrupted(ChildStopped):
    """This worker was told to end; another continues the job."""


class LeaseLost(ChildStopped):
    """The job may be another worker's by now: write nothing, publish nothing."""


def run_child(
    argv: Sequence[str],
    run_dir: Path,
    lease: Lease,
    *,
    context: WorkContext,
    limits: ChildLimits | None = None,
    env: Mapping[str, str] | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    grace_s: float = 30,
) -> ChildResult:
    """Run `argv` to its end and write down what it says; `on_event` is shown every line as well.

    Raises `JobCancelled`, `JobInterrupted` or `LeaseLost` if the child was ended for one of these: first with SIGTERM
    and `grace_s` seconds (a lost lease leaves no time for that), then its whole group with SIGKILL. A child that is
    done nevertheless (exit code 0) counts as done. The last 64 KiB of its output are in `RUN_DIR/stderr.log`.
    """
    with _kept(context, lease) as keeper:
        watch = _Watch(run_dir, keeper, context.stopping, on_event, grace_s)
        child_env = {
            **environment_of_children(),
            "OMP_NUM_THREADS": str(context.settings.num_cpu_threads),
            # threads that spin for ever starve whoever shares the cores (280 tokens a second fell to 10), threads that
            # sleep at once are slow to wake (170); about 20 microseconds of spinning keep 270 (measured, 2 cores)
            "GOMP_SPINCOUNT": "20000",
            **(env or {}),
        }
        launcher = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), (limits or ChildLimits()).as_json()]
        started_at = time.monotonic()
        with subprocess.Popen(  # noqa: S603 - argv is ours, and no shell reads it
            [*launcher, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=child_env,
        ) as process:
            output = _Tail(process.stdout)
            try:
                watch.until_exit(process)
            finally:
                _kill_group(process)
                exit_code = process.wait()
                output.save(run_dir / STDERR_FILE)
        watch.drain()
        result = ChildResult(
            exit_code=exit_code,
            result=watch.result,
            error=watch.error,
            seconds=time.monotonic() - started_at,
            stderr_tail=output.text(),
        )
        if not keeper.flush() or keeper.is_lost:
            raise LeaseLost(result)
        if exit_code != 0 and watch.reason is not None:
            raise watch.reason(result)
        return result


class _Watch:
    """What is seen of one child while it runs, and why it was told to stop, if it was."""

    def __init__(
        self,
        run_dir: Path,
        keeper: LeaseKeeper,
        stopping: threading.Event,
        on_event: Callable[[dict[str, Any]], None] | None,
        grace_s: float,
    ) -> None:
        self._events = EventsFile(run_dir / EVENTS_FILE)
        # an earlier attempt on this machine may have left its own
        self._events.skip_existing()
        self._keeper = keeper
        self._stopping = stopping
        self._on_event = on_event
        self._grace_s = grace_s
        self.result: dict[str, Any] | None = None
        self.error: JobError | None = None
        self.reason: type[ChildStopped] | None = None

    def until_exit(self, process: subprocess.Popen[bytes]) -> None:
        """Watch until the child is dead, but not yet reaped: until then its process group is certainly its own."""
        kill_at: float | None = None
        while not _is_dead(process):
            self._read()
            if self._keeper.is_lost or (kill_at is not None and time.monotonic() > kill_at):
                _kill_group(process)
            elif self.reason is None and (reason := self._reason_to_stop()) is not None:
                self.reason = reason
                kill_at = time.monotonic() + self._grace_s
                # only the child itself: it knows in which order its helpers are to end
                process.send_signal(signal.SIGTERM)
            time.sleep(_POLL_S)

    def drain(self) -> None:
        while self._events.has_more():
            self._read()

    def _reason_to_stop(self) -> type[ChildStopped] | None:
        if self._keeper.cancel_requested:
            return JobCancelled
        return JobInterrupted if self._stopping.is_set() else None

    def _read(self) -> None:
        for line in self._events.read():
            if line["type"] == "result":
                self.result = line["data"]
            elif line["type"] == "error":
                details = line.get("details")
                self.error = {
                    "code": line["code"],
                    "message": line["message"],
                    "details": details if isinstance(details, dict) else {},
                }
            else:
                self._keeper.note(line)
            if self._on_event is not None:
                self._on_event(line)


class _Tail:
    """The end of what a child prints, read in a thread so that the child never waits for a full pipe."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._stream = stream
        self._kept = b""
        self._thread = threading.Thread(target=self._read, name="child-output", daemon=True)
        self._thread.start()

    def save(self, path: Path) -> None:
        # a helper of the child that outlives it may hold the pipe open
        self._thread.join(timeout=2)
        with suppress(OSError):
            path.write_bytes(self._kept)

    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")

    def _read(self) -> None:
        with suppress(OSError, ValueError):
            while self._stream is not None and (chunk := os.read(self._stream.fileno(), 1 << 16)):
                self._kept = (self._kept + chunk)[-_STDERR_BYTES:]


@contextmanager
def _kept(context: WorkContext, lease: Lease) -> Iterator[LeaseKeeper]:
    if context.keeper is not None:
        yield context.keeper
        return
    with LeaseKeeper(context.settings, context.database, context.backends.events, lease) as keeper:
        yield keeper


def _is_dead(process: subprocess.Popen[bytes]) -> bool:
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
