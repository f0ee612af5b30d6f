import json
from pathlib import Path
from typing import Any

from core.errors import AppError


class Events:
    """What the parent is told, a line at a time."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("a", encoding="utf-8")

    def close(self) -> None:
        self._stream.close()

    def stage(self, stage: str) -> None:
        self._write({"type": "stage", "stage": stage})

    def progress(self, step: int, total_steps: int) -> None:
        self._write({"type": "progress", "step": step, "total_steps": total_steps})

    def message(self, message: str) -> None:
        self._write({"type": "message", "level": "info", "message": message})

    def error(self, error: AppError) -> None:
        details = {**error.details, "param": error.param}
        self._write({"type": "error", "code": error.error_code, "message": error.message, "details": details})

    def _write(self, line: dict[str, Any]) -> None:
        self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._stream.flush()
