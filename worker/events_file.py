"""Reads `events.jsonl` while a child writes it. The child is not trusted: it may write half a line, or rubbish."""

import json
import logging
import math
import os
import stat
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

# whoever watches a run is sent every line, and some processes keep thousands of them
_MAX_LINE_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 20
# millions of lines; what writes more does not train
_MAX_FILE_BYTES = 1 << 30
# charts multiply steps by thousands, in 64 bits
_MAX_STEPS = 1 << 40
_MAX_S = 1e9
_MAX_INT, _MAX_DEPTH = (1 << 63) - 1, 100
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
        self._rest = b""
        self.offset = 0
        """Bytes of it that were read."""

    def skip_existing(self) -> None:
        """Begin after what an earlier attempt left."""
        self.offset = self._num_bytes()

    def read(self) -> list[dict[str, Any]]:
        """The whole lines that are new since the last call; the half one is kept for the next."""
        chunk = self._chunk() if self.has_more() else b""
        self.offset += len(chunk)
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _MAX_LINE_BYTES:
            logger.warning("a line of %s is too long and was dropped", self._path)
            self._rest = b""
        return [line for raw in whole if raw.strip() and (line := parse(raw)) is not None]

    def has_more(self) -> bool:
        return self.offset < min(self._num_bytes(), _MAX_FILE_BYTES)

    def _num_bytes(self) -> int:
        """0 for what is no file: a pipe would keep the reader for ever, and a link leads elsewhere."""
        try:
            found = self._path.lstat()
        except OSError:
            return 0
        return found.st_size if stat.S_ISREG(found.st_mode) else 0

    def _chunk(self) -> bytes:
        try:
            # it may have become something else since it was looked at
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            return os.pread(descriptor, _CHUNK_BYTES, self.offset)
        except OSError:
            return b""
        finally:
            os.close(descriptor)


def parse(raw: bytes) -> dict[str, Any] | None:
    """A line as the database can keep it; None if it is not one of ours."""
    try:
        line = json.loads(raw) if len(raw) <= _MAX_LINE_BYTES else None
        cleaned: dict[str, Any] | None = _storable(line) if isinstance(line, dict) and _is_ours(line) else None
    except (ValueError, RecursionError):
        cleaned = None
    if cleaned is None:
        logger.warning("an unreadable event line was dropped: %r", raw[:200])
    return cleaned


def _is_ours(line: dict[str, Any]) -> bool:
    required = _REQUIRED.get(str(line.get("type")))
    return (
        required is not None
        and all(isinstance(line.get(name), kind) for name, kind in required.items())
        and str(line.get("level", "info")) in _LEVELS
        and isinstance(line.get("data") or {}, dict)
        and all(0 <= line[name] <= _MAX_STEPS for name in ("step", "total_steps") if name in required)
        and all(_is_duration(line.get(name)) for name in ("seconds_left", "billable_s"))
    )


def _is_duration(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not (value < 0 or value > _MAX_S))


def _storable(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON
    """Postgres keeps neither NaN nor NUL nor half a surrogate pair, and streams carry 64 bits, some levels deep.

    Raises `ValueError` for what is nested deeper.
    """
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deep")
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if abs(value) <= _MAX_INT else None
    if isinstance(value, list):
        return [_storable(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_storable(name): _storable(item, depth + 1) for name, item in value.items()}
    return value
