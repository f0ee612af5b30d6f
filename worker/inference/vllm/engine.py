"""One vLLM process: started, waited for, watched, started again when it ended, and ended with us."""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from core.errors import AppError, Unavailable
from core.inference.types import Sampling
from core.stack.processes import Child, Program, spawn, stop_all
from worker.inference.failures import restarting
from worker.inference.vllm.command import BASE_NAME, Place
from worker.inference.vllm.wire import Asked, Wire, client_of, died, starting

logger = logging.getLogger(__name__)

Status = Literal["starting", "ready", "restarting", "failed"]
_LOOK_EVERY_S: Final = 1.0
_UNWELL_FOR_S: Final = 60.0
_MAX_PAUSE_S: Final = 60.0
# a first start that fails so often will not succeed by itself: an admin is told
_FAILED_AFTER: Final = 3
_STEADY_AFTER_S: Final = 300.0
_GONE_WITHIN_S: Final = 10.0
_CALL_TIMEOUT_S: Final = 310.0

T = TypeVar("T")
# an adapter's name and folder
Load = Callable[[str, Path], None]


@dataclass(slots=True)
class _State:
    status: Status = "starting"
    num_restarts: int = 0
    problem: str | None = None
    version: str = "unknown"
    is_isolated: bool = False


class Engine:
    """Safe for threads. `loop` runs all that is said to it; a thread of its own follows the process.

    The process is asked to end when that thread's process does, however that ends.
    """

    def __init__(
        self,
        name: str,
        program: Callable[[Place], Program],
        loop: asyncio.AbstractEventLoop,
        *,
        start_timeout_s: float,
    ) -> None:
        self._name = name
        self._program = program
        self._loop = loop
        self._start_timeout_s = start_timeout_s
        self._on_ready: Callable[[Load], None] = _nothing
        self._stopping = threading.Event()
        self._state = _State()
        self._wire: Wire | None = None
        # Lines that broke, and how many of them had when it last said that it is well. A process that is killed closes
        # its lines before anybody can see that it ended.
        self._num_broken = self._num_explained = 0
        self._child: Child | None = None
        self._thread = threading.Thread(target=self._run, name=f"vllm-{name}", daemon=True)

    @property
    def state(self) -> _State:
        return self._state

    @property
    def pid(self) -> int | None:
        return self._child.process.pid if self._child else None

    def start(self, on_ready: Callable[[Load], None]) -> None:
        """`on_ready` is called each time before a new process is asked for an answer."""
        self._on_ready = on_ready
        self._thread.start()

    def stop(self) -> None:
        """Blocks until its processes are gone."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def wire(self) -> Wire:
        """What to say something to it by. Raises `Unavailable` (`engine_starting`) while it does not answer.

        Where a line to it broke, nobody is sent there before it said again that it is well.
        """
        wire = self._wire
        has_ended = self._child is not None and self._child.exit_code() is not None
        if wire is None or has_ended or self._num_explained < self._num_broken:
            raise restarting() if self._stopping.is_set() else starting(self._name, self._state.problem)
        return wire

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Have the loop do it, and wait. Not to be called on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_TIMEOUT_S)

    # what `adapters.LoadedAdapters` asks of it
    def load(self, name: str, folder: Path) -> None:
        self.call(self.wire().load(name, folder))

    def unload(self, name: str) -> None:
        self.call(self.wire().unload(name))

    def _run(self) -> None:
        num_failures = 0
        while not self._stopping.is_set():
            lived_s, problem = self._live_once()
            if self._stopping.is_set():
                return
            num_failures = 1 if lived_s > _STEADY_AFTER_S else num_failures + 1
            was_ready = self._state.status == "ready"
            has_failed = not was_ready and num_failures >= _FAILED_AFTER
            self._state.status = "failed" if has_failed else "restarting" if was_ready else self._state.status
            self._state.problem = problem
            self._state.num_restarts += 1
            pause_s = min(2.0 ** (num_failures - 1), _MAX_PAUSE_S)
            logger.error("%s: %s It is started again in %.0f s.", self._name, problem, pause_s)
            self._stopping.wait(pause_s)

    def _live_once(self) -> tuple[float, str]:
        """From a start to its end; returns how long it answered, and what was seen of the end."""
        place = Place.new()
        try:
            program = self._program(place)
            self._child = child = spawn(program)
            try:
                return self._follow(child, place)
            finally:
                self._wire = None
                _end(child)
        except (AppError, OSError) as error:
            return 0.0, f"vLLM could not be started: {error}"
        except Exception:
            # whatever it was: without this thread nobody would start another process
            logger.exception("%s: its process could not be followed", self._name)
            return 0.0, "vLLM was ended because following it failed. The model server's log says how."
        finally:
            shutil.rmtree(place.folder, ignore_errors=True)

    def _follow(self, child: Child, place: Place) -> tuple[float, str]:
        wire = Wire(client_of(place.uds), self._broken)
        try:
            if problem := self._until_ready(child, wire):
                return 0.0, problem
            self._state.version = self.call(wire.version())
            self._state.is_isolated = place.is_isolated
            self._on_ready(lambda name, folder: self.call(wire.load(name, folder)))
            self._state.status, self._state.problem = "ready", None
            self._num_explained = self._num_broken
            self._wire = wire
            logger.info("vLLM %s answers for %s", self._state.version, self._name)
            ready_at = time.monotonic()
            problem = self._until_over(child, wire)
            return time.monotonic() - ready_at, problem
        finally:
            self._wire = None
            with contextlib.suppress(Exception):
                self.call(wire.close())

    def _until_ready(self, child: Child, wire: Wire) -> str | None:
        deadline = time.monotonic() + self._start_timeout_s
        while not self._stopping.wait(_LOOK_EVERY_S):
            if (code := child.exit_code()) is not None:
                return f"vLLM ended while it started (exit {code}): {child.last_words()}."
            if time.monotonic() > deadline:
                return f"vLLM did not answer within {self._start_timeout_s:.0f} s."
            if self.call(wire.is_well()):
                return self._warmed_up(wire)
        return "it was stopped"

    def _warmed_up(self, wire: Wire) -> str | None:
        """The first answer compiles kernels: nobody should wait for that."""
        asked = Asked(BASE_NAME, [0], Sampling(max_tokens=2, temperature=0, top_logprobs=1), 2, [])

        async def answer() -> None:
            async for _ in wire.complete(asked):
                pass

        try:
            self.call(answer())
        except (AppError, TimeoutError) as error:
            said = getattr(error, "said", str(error))
            return f"vLLM started and did not answer: {said}"
        return None

    def _until_over(self, child: Child, wire: Wire) -> str:
        well_at = time.monotonic()
        while not self._stopping.wait(_LOOK_EVERY_S):
            if (code := child.exit_code()) is not None:
                return f"vLLM ended (exit {code}): {child.last_words()}."
            num_broken = self._num_broken
            if self.call(wire.is_well()):
                self._num_explained = num_broken
                well_at = time.monotonic()
            elif time.monotonic() - well_at > _UNWELL_FOR_S:
                return f"vLLM has not said for {_UNWELL_FOR_S:.0f} s that it is well."
        return "it was stopped"

    def _broken(self) -> Unavailable:
        # on the loop, so no two at once
        self._num_broken += 1
        return restarting() if self._stopping.is_set() else died(self._name)


def _end(child: Child) -> None:
    """All of its processes: those that it started outlive it when it is killed."""
    stop_all([child])
    deadline = time.monotonic() + _GONE_WITHIN_S
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.process.pid, signal.SIGKILL)
        while time.monotonic() < deadline:
            time.sleep(0.05)
            os.killpg(child.process.pid, 0)


def _nothing(_load: Load) -> None:
    """Nobody wants to know."""
