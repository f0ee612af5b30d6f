"""What the trainer tells its supervisor: one JSON object a line in `events.jsonl`, written at once."""

import json
import time
from pathlib import Path
from typing import Any, Literal

# the watchdog waits for minutes; this is often enough, and does not fill the file
_ALIVE_EVERY_S = 1.0


class EventWriter:
    def __init__(self, path: Path) -> None:
        # unbuffered: a supervisor that tails the file never waits for a block to fill, and a full disk is met here
        self._stream = path.open("ab", buffering=0)
        self._is_cut = False
        self._alive_at = 0.0

    def close(self) -> None:
        self._stream.close()

    def stage(self, stage: str) -> None:
        self._write({"type": "stage", "stage": stage})

    def progress(self, *, step: int, total_steps: int, seconds_left: float, billable_s: float) -> None:
        self._write(
            {
                "type": "progress",
                "step": step,
                "total_steps": total_steps,
                "seconds_left": round(seconds_left, 1),
                "billable_s": billable_s,
            }
        )

    def alive(self) -> None:
        """A piece of work is done in a stage that has no steps. Say it only of real progress: a watchdog listens."""
        now = time.monotonic()
        if now - self._alive_at >= _ALIVE_EVERY_S:
            self._alive_at = now
            self._write({"type": "alive"})

    def checkpoint(self, *, step: int, name: str, digest: str) -> None:
        self._write({"type": "checkpoint", "step": step, "name": name, "digest": digest})

    def metrics(self, *, step: int, total_steps: int, data: dict[str, float | int]) -> None:
        self._write({"type": "metrics", "step": step, "total_steps": total_steps, "data": data})

    def message(
        self, message: str, *, level: Literal["info", "warn", "error"] = "info", data: dict[str, Any] | None = None
    ) -> None:
        self._write({"type": "message", "level": level, "message": message, "data": data or {}})

    def error(self, *, code: str, message: str, details: dict[str, Any] | None = None) -> None:
        self._write({"type": "error", "code": code, "message": message, "details": details or {}})

    def result(self, data: dict[str, Any]) -> None:
        self._write({"type": "result", "data": data})

    def _write(self, event: dict[str, Any]) -> None:
        line = (json.dumps(event, ensure_ascii=False, allow_nan=False) + "\n").encode()
        # what a full disk cut short must not spoil the line after it
        line = b"\n" + line if self._is_cut else line
        self._is_cut = True
        while line:
            line = line[self._stream.write(line) or 0 :]
        self._is_cut = False
