"""Logs as one JSON object a line, on standard output, with the request or job they belong to and its workspace."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import orjson

from core.kit.clock import utc_now
from core.kit.redaction import redacted, redacted_text

# set at the edge (a request, a job); every line logged inside carries it
correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)
# set as soon as it is known whose request or job it is
logged_workspace_id: ContextVar[str | None] = ContextVar("logged_workspace_id", default=None)


@contextmanager
def logged_as(correlation: str, workspace_id: str | None = None) -> Iterator[None]:
    """In this block, every line says what it belongs to, and to whom."""
    tokens = correlation_id.set(correlation), logged_workspace_id.set(workspace_id)
    try:
        yield
    finally:
        correlation_id.reset(tokens[0])
        logged_workspace_id.reset(tokens[1])


class JsonFormatter(logging.Formatter):
    """`logger.info("…", extra={"fields": {…}})` puts the fields beside the message. All is redacted."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": utc_now().isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted_text(record.getMessage()),
        }
        if found := correlation_id.get():
            line["correlation_id"] = found
        if found := logged_workspace_id.get():
            line["workspace_id"] = found
        line |= redacted(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = redacted_text(self.formatException(record.exc_info))
        return _json(line)


def _json(line: dict[str, Any]) -> str:
    try:
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # half a surrogate pair, or a number beyond 64 bits
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(level: int = logging.INFO) -> None:
    """Called once by each process's entry point."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # it logs whole addresses, and the signature in a presigned one is a key to the object
    logging.getLogger("httpx").setLevel(max(level, logging.WARNING))
