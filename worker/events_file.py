"""Reads `events.jsonl` while a child writes it. The child is not trusted: it may write half a line, or rubbish."""

import json
import logging
import math
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_MAX_LINE_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20
_MAX_STEPS = 1 << 53
_MAX_S = 1e9
_REQUIRED: dict[str, dict[str, type | tuple[type, ...]]] = {
    "stage": {"stage": str},
    "progress": {"step": int, "total_steps": int},
    "metrics": {"step": int, "total_steps": int, "data": dict},
    "message": {"message": str},
    "checkpoint": {"step": int, "name": str, "digest": str},
    "alive": {},
    "error": {"code": str, "message": str},
    "result": {"data": dict},
}
_LEVELS = {"info", "warn", "error"}


class EventsFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def skip_existing(self) -> None:
        """Begin after what an earlier attempt left."""
        self._offset = self._path.stat().st_size if self._path.exists() else 0

    def read(self) -> list[dict[str, Any]]:
        """The whole lines that are new since the last call; the half one is kept for the next."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                chunk = stream.read(_CHUNK_BYTES)
        except FileNotFoundError:
            return []
        self._offset += len(chunk)
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _MAX_LINE_BYTES:
            logger.warning("a line of %s is too long and was dropped", self._path)
            self._rest = b""
        return [line for raw in whole if raw.strip() and (line := parse(raw)) is not None]

    def has_more(self) -> bool:
        return self._path.exists() and self._path.stat().st_size > self._offset


def parse(raw: bytes) -> dict[str, Any] | None:
    """A line as the database can keep it; None if it is not one of ours."""
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        line = None
    if not isinstance(line, dict) or not _is_ours(line):
        logger.warning("an unreadable event line was dropped: %r", raw[:200])
        return None
    cleaned: dict[str, Any] = _storable(line)
    return cleaned


def _is_ours(line: dict[str, Any]) -> bool:
    required = _REQUIRED.get(str(line.get("type")))
    return (
        required is not None
        and all(isinstance(line.get(name), kind) for name, kind in required.items())
        and line.get("level", "info") in _LEVELS
        and all(0 <= line[name] <= _MAX_STEPS for name in ("step", "total_steps") if name in required)
        and all(_is_duration(line.get(name)) for name in ("seconds_left", "billable_s"))
    )


def _is_duration(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not value > _MAX_S)


def _storable(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Postgres keeps neither NaN nor NUL nor half a surrogate pair."""
    if isinstance(value, str):
        return value.replace("\0", "�").encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(name): _storable(item) for name, item in value.items()}
    return value
