"""What the trainer tells its supervisor: one JSON object a line in `events.jsonl`, flushed at once."""

import json
from pathlib import Path
from typing import Any, Literal


class EventWriter:
    def __init__(self, path: Path) -> None:
        # line-buffered: a supervisor that tails the file never waits for a block to fill
        self._stream = path.open("a", buffering=1, encoding="utf-8")

    def close(self) -> None:
        self._stream.close()

    def stage(self, stage: str) -> None:
        self._write({"type": "stage", "stage": stage})

    def progress(self, *, step: int, total_steps: int, seconds_left: float) -> None:
        self._write(
            {"type": "progress", "step": step, "total_steps": total_steps, "seconds_left": round(seconds_left, 1)}
        )

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
        self._stream.write(json.dumps(event, ensure_ascii=False, allow_nan=False) + "\n")
