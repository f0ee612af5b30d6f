"""Runs one child process under one lease.

The child has its own session, limits, and an environment without our secrets; it dies with this process. It says what
it does in `RUN_DIR/events.jsonl`. This thread never talks to the database, so it always sees in time that the lease is
lost, that a cancel or a pause was asked for, that this process is to end, or that the child hangs.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from core.config import environment_of_children
from core.jobs.types import JobError, Lease
from worker import launch, memory
from worker.child_output import LOG_FILE, ChildOutput
from worker.children import (
    ChildLimits,
    ChildResult,
    ChildStopped,
    JobCancelled,
    JobInterrupted,
    JobPaused,
    LeaseLost,
)
from worker.context import WorkContext
from worker.events_file import EventsFile
from worker.lease_file import LeaseFile
from worker.lease_keeper import FENCE_FRACTION, LeaseKeeper

__all__ = [
    "EVENTS_FILE",
    "STDERR_FILE",
    "ChildLimits",
    "ChildResult",
    "ChildStopped",
    "JobCancelled",
    "JobInterrupted",
    "JobPaused",
    "LeaseLost",
    "run_child",
]

logger = logging.getLogger(__name__)

_POLL_S = 0.1
_LOOK_AT_MEMORY_EVERY_S = 0.5
_CANCEL_GRACE_SHARE = 2 / 3
EVENTS_FILE = "events.jsonl"
STDERR_FILE = "stderr.log"

Stop = Callable[[ChildResult], ChildStopped]


def run_child(
    argv: Sequence[str],
    run_dir: Path,
    lease: Lease,
    *,
    context: WorkContext,
    limits: ChildLimits | None = None,
    env: Mapping[str, str] | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    grace_s: float | None = None,
    no_progress_s: float | None = None,
) -> ChildResult:
    """Run `argv` to its end and write down what it says; `on_event` is shown every line as well, and must be quick.

    Raises `JobCancelled`, `JobInterrupted`, `JobPaused` or `LeaseLost` if the child was ended for one of these: first
    with SIGTERM and `grace_s` seconds (two thirds of that for a cancel; a lost lease leaves no time for it), then its
    whole group with SIGKILL. One that says nothing for `no_progress_s` ends the same way, and its result tells. A child
    that is done nevertheless (exit code 0) counts as done. What it prints is in `RUN_DIR/child.log`, the last 64 KiB in
    `RUN_DIR/stderr.log`.
    """
    settings = context.settings
    with _kept(context, lease) as keeper, LeaseFile(run_dir) as lease_file, keeper.shared_with(lease_file):
        watch = _Watch(
            run_dir,
            keeper,
            context,
            lease,
            on_event=on_event,
            grace_s=settings.kill_grace_s if grace_s is None else grace_s,
            no_progress_s=settings.no_progress_s if no_progress_s is None else no_progress_s,
        )
        num_oom_kills, started_at = memory.num_oom_kills(), time.monotonic()
        with _spawned(argv, limits or ChildLimits(), _environment(context, env or {})) as process:
            output = ChildOutput(process.stdout, run_dir / LOG_FILE, keeper.note_output)
            try:
                watch.until_exit(process)
            finally:
                _kill_group(process)
                exit_code = process.wait()
                output.finish()
                output.save_tail(run_dir / STDERR_FILE)
        watch.drain()
        was_oom_killed = exit_code == -signal.SIGKILL and memory.num_oom_kills() > num_oom_kills
        result = ChildResult(
            exit_code=exit_code,
            result=watch.result,
            error=watch.error,
            seconds=time.monotonic() - started_at,
            stderr_tail=output.tail(),
            billable_s=watch.billable_s,
            memory_was_exhausted=watch.used_too_much_memory or was_oom_killed,
            made_no_progress=watch.made_no_progress,
        )
        watch.raise_if_stopped(result)
        return result


class _Watch:
    """What is seen of one child while it runs, and why it was told to stop, if it was."""

    def __init__(
        self,
        run_dir: Path,
        keeper: LeaseKeeper,
        context: WorkContext,
        lease: Lease,
        *,
        on_event: Callable[[dict[str, Any]], None] | None,
        grace_s: float,
        no_progress_s: float,
    ) -> None:
        self._events = EventsFile(run_dir / EVENTS_FILE)
        # an earlier attempt on this machine may have left its own
        self._events.skip_existing()
        self._keeper = keeper
        self._context = context
        self._max_billable_s = lease.payload.get("max_billable_s")
        self._on_event = on_event
        self._grace_s = grace_s
        self._no_progress_s = no_progress_s
        self._heard_at = time.monotonic()
        self._kill_at: float | None = None
        self._look_at_memory_at = 0.0
        self._fence_s = context.settings.lease_s * FENCE_FRACTION
        self._looked_at = time.monotonic()
        self.was_fenced = False
        self.result: dict[str, Any] | None = None
        self.error: JobError | None = None
        self.billable_s = 0.0
        self.stop: Stop | None = None
        self.made_no_progress = False
        self.used_too_much_memory = False

    def until_exit(self, process: subprocess.Popen[bytes]) -> None:
        """Watch until the child is dead, but not yet reaped: until then its process group is certainly its own."""
        while not self._is_over(process):
            self._read()
            is_overdue = self._kill_at is not None and time.monotonic() > self._kill_at
            if self.was_fenced or is_overdue or self._uses_too_much_memory(process.pid):
                _kill_group(process)
            elif self._kill_at is None and self._must_stop():
                # who cancels waits for it, and nothing needs to be saved
                share = _CANCEL_GRACE_SHARE if self.stop is JobCancelled else 1
                self._kill_at = time.monotonic() + self._grace_s * share
                # only the child itself: it knows in which order its helpers are to end
                process.send_signal(signal.SIGTERM)
            time.sleep(_POLL_S)

    def drain(self) -> None:
        before = -1
        # one that cannot be read any more is left
        while self._events.has_more() and self._events.offset > before:
            before = self._events.offset
            self._read()

    def raise_if_stopped(self, result: ChildResult) -> None:
        """Raise why it was ended, unless it was done nevertheless; and in any case if nothing may be published."""
        if not self._keeper.flush() or self._keeper.is_lost:
            raise LeaseLost(result)
        if result.exit_code == 0:
            return
        if self.was_fenced:
            # the lease was in doubt when the child had to end, and turned out to be ours still
            raise JobInterrupted(result)
        if self.stop is not None:
            raise self.stop(result)

    def _is_over(self, process: subprocess.Popen[bytes]) -> bool:
        """Also notes whether the lease was in doubt: while the child ran, or when it ended while we stood still."""
        stood_still_s, self._looked_at = time.monotonic() - self._looked_at, time.monotonic()
        is_dead = _is_dead(process)
        self.was_fenced = self.was_fenced or self._keeper.is_lost or (is_dead and stood_still_s > self._fence_s)
        return is_dead

    def _must_stop(self) -> bool:
        self.stop = self._asked_to_stop()
        if self.stop is None and time.monotonic() - self._heard_at > self._no_progress_s:
            logger.warning("the child said nothing for %.0f s and is ended", self._no_progress_s)
            self.made_no_progress = True
        return self.stop is not None or self.made_no_progress

    def _asked_to_stop(self) -> Stop | None:
        if self._keeper.cancel_requested:
            return JobCancelled
        if self._context.is_handing_back:
            return JobInterrupted
        if self._keeper.pause_requested:
            return partial(JobPaused, reason="requested")
        if self._max_billable_s is not None and self.billable_s >= self._max_billable_s:
            return partial(JobPaused, reason="budget")
        return None

    def _uses_too_much_memory(self, pid: int) -> bool:
        limit = self._context.settings.child_memory_bytes
        if limit and time.monotonic() >= self._look_at_memory_at:
            # a few milliseconds a look, for the whole tree of processes
            self._look_at_memory_at = time.monotonic() + _LOOK_AT_MEMORY_EVERY_S
            if memory.used_bytes(pid) > limit:
                logger.warning("the child uses more than %d bytes of memory and is ended", limit)
                self.used_too_much_memory = True
        return self.used_too_much_memory

    def _read(self) -> None:
        for line in self._events.read():
            self._heard_at = time.monotonic()
            if line["type"] == "result":
                self.result = line["data"]
                self._note_billable(line["data"])
            elif line["type"] == "error":
                details = line.get("details")
                self.error = {
                    "code": line["code"],
                    "message": line["message"],
                    "details": details if isinstance(details, dict) else {},
                }
            else:
                self._note_billable(line)
                self._keeper.note(line)
            if self._on_event is not None:
                self._on_event(line)

    def _note_billable(self, said: Mapping[str, Any]) -> None:
        seconds = said.get("billable_s")
        if isinstance(seconds, int | float) and seconds >= 0:
            self.billable_s = float(seconds)


def _spawned(argv: Sequence[str], limits: ChildLimits, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    launcher = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), limits.as_json()]
    return subprocess.Popen(  # noqa: S603 - argv is ours, and no shell reads it
        [*launcher, *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=dict(env),
    )


def _environment(context: WorkContext, extra: Mapping[str, str]) -> dict[str, str]:
    return {
        **environment_of_children(),
        "OMP_NUM_THREADS": str(context.settings.num_cpu_threads),
        # threads that spin for ever starve whoever shares the cores (280 tokens a second fell to 10), threads that
        # sleep at once are slow to wake (170); about 20 microseconds of spinning keep 270 (measured, 2 cores)
        "GOMP_SPINCOUNT": "20000",
        **extra,
    }


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
