"""Child processes: started in their own group, ended with their parent, recognised by more than their number.

A process id may be given to a stranger after a crash, so a process is only ever ended when its start time and its
command are the ones written down.
"""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from core.errors import Unavailable
from core.stack.home import disk_errors

_PR_SET_PDEATHSIG = 1
_START_TIME_TOLERANCE_S = 0.05
# loaded before any fork: the child may only call what is already in memory
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Program:
    """What to run and how to end it."""

    name: str
    argv: list[str]
    log: Path
    env: Mapping[str, str]
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 15
    pass_fds: tuple[int, ...] = ()
    cwd: Path | None = None
    shows_output: bool = False
    """It writes where we write, and to no log."""

    @property
    def whereabouts(self) -> str:
        """Of what it said."""
        return "its lines above" if self.shows_output else str(self.log)


@dataclass(slots=True)
class Child:
    program: Program
    process: subprocess.Popen[bytes]
    started_at_s: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        return self.program.name

    def exit_code(self) -> int | None:
        return self.process.poll()

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, **identify(self.process.pid)}

    def last_words(self, num_lines: int = 3) -> str:
        lines = self.program.log.read_text(errors="replace").splitlines() if self.program.log.exists() else []
        return " / ".join(line.strip()[:300] for line in lines[-num_lines:] if line.strip())


def spawn(program: Program) -> Child:
    """Start the program, its output appended to its log."""
    with disk_errors(program.log), program.log.open("ab") as log:
        process = subprocess.Popen(
            program.argv,
            stdin=subprocess.DEVNULL,
            stdout=None if program.shows_output else log,
            stderr=subprocess.STDOUT,
            env=dict(program.env),
            cwd=program.cwd,
            start_new_session=True,
            # what it writes is nobody else's, even where the home is open to others
            umask=0o077,
            pass_fds=program.pass_fds,
            preexec_fn=_die_with_parent(program.stop_signal),  # noqa: PLW1509 - calls only a loaded prctl
            **as_user(program.user),
        )
    return Child(program, process)


def stop_all(children: list[Child]) -> None:
    """End them, the last started first: politely, then, after its time is up, each one's whole group by force.

    Those given together do not need each other while they end, so their times run side by side.
    """
    deadlines: list[tuple[Child, float]] = []
    for child in reversed(children):
        if child.exit_code() is None:
            child.process.send_signal(child.program.stop_signal)
            deadlines.append((child, time.monotonic() + child.program.stop_timeout_s))
    for child, deadline in deadlines:
        try:
            child.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()


def wait_until(ready: Callable[[], bool], child: Child, *, timeout_s: float) -> None:
    """Follow a child until it is ready. Raises `Unavailable`, with its last words, if it ends or takes too long."""
    deadline = time.monotonic() + timeout_s
    pause_s = 0.02
    while not ready():
        code = child.exit_code()
        if code is not None:
            raise Unavailable(
                f"{child.name} ended right after its start (exit {code}): {child.last_words() or 'it said nothing'}. "
                f"See {child.program.whereabouts}.",
                code="server_did_not_start",
            )
        if time.monotonic() > deadline:
            raise Unavailable(
                f"{child.name} was not ready after {timeout_s:.0f} s. See {child.program.whereabouts}.",
                code="server_did_not_start",
            )
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.5)


def identify(pid: int) -> dict[str, Any]:
    process = psutil.Process(pid)
    return {"pid": pid, "created": process.create_time()}


def alive(identity: Mapping[str, Any]) -> psutil.Process | None:
    """The very process that was written down, if it still runs; never a stranger that got its number."""
    try:
        process = psutil.Process(int(identity["pid"]))
        is_same = abs(process.create_time() - float(identity["created"])) < _START_TIME_TOLERANCE_S
        return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, KeyError, TypeError, ValueError):
        return None


def end_leftover(identity: Mapping[str, Any], *, timeout_s: float = 20) -> bool:
    """End a process that an earlier, killed supervisor started. True if there was one."""
    process = alive(identity)
    if process is None:
        return False
    try:
        process.send_signal(int(identity.get("stop_signal", signal.SIGTERM)))
        process.wait(timeout_s)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(timeout_s)
    except psutil.NoSuchProcess:
        pass
    return True


def as_user(user: str | None) -> dict[str, Any]:
    """The arguments that make `subprocess` run as another user."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _die_with_parent(signal_number: signal.Signals) -> Callable[[], None] | None:
    if _LIBC is None:
        return None
    libc, parent = _LIBC, os.getpid()

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return ask_kernel
