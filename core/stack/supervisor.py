"""Starts services in groups, restarts the ones that die, and stops all of them in reverse order."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Never

from core.errors import Unavailable
from core.stack.home import Home
from core.stack.leftovers import write_down
from core.stack.processes import Child, stop_all

MAX_FAILURES_IN_A_ROW = 5
_STEADY_AFTER_S = 60
_MAX_PAUSE_S = 30
_LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Service:
    """How to start something, and how to follow it until it is ready."""

    name: str
    start: Callable[[], Child]
    prepare: Callable[[Child], None] = lambda _child: None


@dataclass(slots=True)
class _Running:
    service: Service
    child: Child
    num_failures: int = 0
    restart_at_s: float | None = None


@dataclass(slots=True)
class Supervisor:
    home: Home
    say: Callable[[str], None]
    groups: list[list[_Running]] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    def start(self, services: Sequence[Service]) -> None:
        """Start all of a group, then wait until each is ready. The next group may rely on this one."""
        group: list[_Running] = []
        self.groups.append(group)
        for service in services:
            group.append(_Running(service, service.start()))
            self.note()
        for running in group:
            running.service.prepare(running.child)

    def note(self, **about: Any) -> None:  # noqa: ANN401 - JSON values
        """Write down what runs, with more facts about it for other processes to read."""
        self.about |= about
        write_down(self.home, [running.child for group in self.groups for running in group], **self.about)

    def watch(self) -> Never:
        """Restart what ends, until a signal interrupts. Raises `Unavailable` when something does not stay up."""
        while True:
            self.look()
            time.sleep(_LOOK_EVERY_S)

    def look(self) -> None:
        for group in self.groups:
            for running in group:
                if running.restart_at_s is not None:
                    self._restart_when_due(running)
                elif running.child.exit_code() is not None:
                    self._plan_restart(running)

    def stop(self) -> None:
        while self.groups:
            stop_all([running.child for running in self.groups[-1]])
            self.groups.pop()
        self.about = {}
        self.note()

    def _plan_restart(self, running: _Running) -> None:
        name, code = running.service.name, running.child.exit_code()
        if time.monotonic() - running.child.started_at_s > _STEADY_AFTER_S:
            running.num_failures = 0
        running.num_failures += 1
        if running.num_failures > MAX_FAILURES_IN_A_ROW:
            raise Unavailable(
                f"{name} ended {running.num_failures} times in a row (exit {code}), so Tailorbird stops: "
                f"{running.child.last_words() or 'it said nothing'}. See {running.child.program.whereabouts}.",
                code="service_keeps_failing",
            )
        pause_s = 0 if running.num_failures == 1 else min(2**running.num_failures, _MAX_PAUSE_S)
        running.restart_at_s = time.monotonic() + pause_s
        self.say(
            f"{name} ended (exit {code}); it is started again in {pause_s} s. See {running.child.program.whereabouts}."
        )

    def _restart_when_due(self, running: _Running) -> None:
        if running.restart_at_s is not None and time.monotonic() >= running.restart_at_s:
            running.restart_at_s = None
            running.child = running.service.start()
            self.note()
