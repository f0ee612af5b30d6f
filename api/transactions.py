"""The transactions of a request: begun, worked in and ended in one thread, and committed before the answer is sent.

A failed commit is so an error to the client, and what a client was told is there when it asks again.
"""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any

from fastapi import Request
from sqlalchemy.orm import Session

from api.threads import in_thread
from api.turns import DatabaseTurns
from core.db.session import Database, Scope, Unit

_Endpoint = Callable[..., Any]


class Transactions:
    """Those of one try of a request."""

    def __init__(self) -> None:
        self._units: list[Unit] = []
        self._turns: list[DatabaseTurns] = []

    async def open(self, turns: DatabaseTurns, database: Database, scope: Scope) -> Session:
        """When it is the request's turn; a connection is taken when the work begins."""
        await turns.take()
        self._turns.append(turns)
        unit = database.unit(scope)
        self._units.append(unit)
        return unit.session

    def begin(self) -> None:
        for unit in self._units:
            unit.begin()

    def run(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever a route answers
        """In a thread: all of it, or nothing."""
        try:
            self.begin()
            answer = work()
            self.commit()
        except BaseException:
            self.roll_back()
            raise
        return answer

    def commit(self) -> None:
        for unit in self._units:
            if not unit.is_over:
                unit.commit()

    def roll_back(self) -> None:
        for unit in self._units:
            unit.roll_back()

    @property
    def is_over(self) -> bool:
        return all(unit.is_over for unit in self._units)

    def give_back_turns(self) -> None:
        while self._turns:
            self._turns.pop().give_back()


_current: ContextVar[Transactions] = ContextVar("transactions")


async def session_in_turn(request: Request, database: Database, scope: Scope) -> Session:
    """For a dependency. Only routes with our class have any."""
    return await _current.get().open(request.app.state.database_turns, database, scope)


def begin_early() -> None:
    """For a dependency that reads before the route does."""
    _current.get().begin()


@asynccontextmanager
async def transactions() -> AsyncIterator[None]:
    """What is opened in this block is committed at its end, unless that was done, and rolled back if it fails."""
    mine = Transactions()
    token = _current.set(mine)
    try:
        yield
        if not mine.is_over:
            await in_thread(mine.commit)
    except BaseException:
        if not mine.is_over:
            await in_thread(mine.roll_back)
        raise
    finally:
        mine.give_back_turns()
        _current.reset(token)


def in_one_thread(endpoint: _Endpoint) -> _Endpoint:
    """A sync route as one that is async and works in a thread, with its transactions around it."""
    if inspect.iscoroutinefunction(endpoint):
        return endpoint

    @wraps(endpoint)
    async def in_its_thread(**values: Any) -> Any:  # noqa: ANN401 - what the route asked for, and answers
        return await in_thread(partial(_current.get().run, partial(endpoint, **values)))

    return in_its_thread
