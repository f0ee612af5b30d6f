"""A Postgres connection that never waits for ever.

`statement_timeout` is kept by the server, TCP's own timers by a peer that is gone. Neither helps when a live proxy, a
firewall or a frozen server swallows what is said: then only the one who waits can give up.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout
from sqlalchemy.exc import DBAPIError

_Answer = TypeVar("_Answer")

_LONGEST_WAIT_S = 40.0
_patience_s: ContextVar[float] = ContextVar("patience_s", default=_LONGEST_WAIT_S)


@contextmanager
def answer_within(seconds: float) -> Iterator[None]:
    """In this block, a database that does not answer one statement for so long counts as gone."""
    token = _patience_s.set(seconds)
    try:
        yield
    finally:
        _patience_s.reset(token)


class BoundedConnection(psycopg.Connection[Any]):
    """Closes itself, and raises `OperationalError`, when no answer comes in time; the pool then makes another."""

    def wait(self, gen: PQGen[_Answer], interval: float = 0.1, timeout: float | None = None) -> _Answer:
        patience_s = _patience_s.get()
        try:
            return super().wait(gen, interval, timeout or patience_s)
        except _WaitTimeout as error:
            self.close()
            raise psycopg.OperationalError(f"the database did not answer for {patience_s:g} s") from error


def wrapped(error: psycopg.Error, *, is_lost: bool = False) -> BaseException:
    """An error of the driver as SQLAlchemy raises it, for what goes to the driver past it. Without what was asked."""
    return DBAPIError.instance(
        "a query", None, error, psycopg.Error, hide_parameters=True, connection_invalidated=is_lost
    )
