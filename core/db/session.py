"""Sessions: one request or task step is one transaction, committed at the edge.

A session is opened for a scope. The scope is told to Postgres in the same message that begins a transaction, and
row-level security (forced, so that it binds the application's role always) shows only that workspace's rows. A session
without a scope sees no workspace's row at all.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from sqlalchemy import Connection, Dialect, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.pool import ConnectionPoolEntry

from core.db.connection import BoundedConnection, wrapped

logger = logging.getLogger(__name__)

_HOOKS = "after_commit_hooks"
_LAST_STEPS = "before_commit_steps"
_SCOPE = "scope"
_OVERFLOW = 5
# a process that is stopped in the middle of a transaction keeps its locks; nothing of ours thinks for so long in one
_NO_IDLE_LOCKS = "-c idle_in_transaction_session_timeout=15000"
# seconds but for the last, which libpq wants in milliseconds: a host that vanished is noticed in about ten seconds, not
# in the quarter of an hour of the kernel's defaults
_NOTICE_A_DEAD_PEER = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows a session may see: one workspace's, or (`is_system`) everyone's."""

    workspace_id: str | None = None
    is_system: bool = False


# For the few places that serve no single workspace: sign-in, the claim of a job, the reconciler, admin read models.
SYSTEM = Scope(is_system=True)


def workspace_scope(workspace_id: str) -> Scope:
    return Scope(workspace_id=workspace_id)


class _ScopedSession(Session):
    """A class of its own, to listen to all of them at once."""


class Database:
    """One engine and its sessions. Built once per process by the entry point."""

    def __init__(self, url: str, *, pool_size: int = 10, statement_timeout_s: int = 30) -> None:
        self.engine: Engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=_OVERFLOW,
            pool_timeout=5,
            # the few that are in use know their statements and have their memory warm
            pool_use_lifo=True,
            # a logged failure would else quote them, password hashes and rows of data among them
            hide_parameters=True,
            connect_args={
                # psycopg would begin transactions by itself, with a message of its own for each
                "autocommit": True,
                "connect_timeout": 5,
                **_NOTICE_A_DEAD_PEER,
                "options": f"-c statement_timeout={statement_timeout_s * 1000} -c timezone=UTC {_NO_IDLE_LOCKS}",
            },
        )
        self.num_connections = pool_size + _OVERFLOW
        event.listen(self.engine, "do_connect", _connect_bounded)
        event.listen(self.engine, "begin", _begin)
        # one for each scope: to make one takes as long as to ask
        self._scoped = lru_cache(maxsize=1000)(lambda scope: self.engine.execution_options(**{_SCOPE: scope}))

    @contextmanager
    def session(self, scope: Scope) -> Iterator[Session]:
        """A transaction: commits when the block ends, rolls back when it raises, then runs the after-commit hooks."""
        unit = self.unit(scope)
        try:
            unit.begin()
            yield unit.session
            unit.commit()
        except BaseException:
            unit.roll_back()
            raise

    def unit(self, scope: Scope) -> "Unit":
        """The same in pieces, for who begins in one thread and ends in another."""
        return Unit(_ScopedSession(self._scoped(scope), expire_on_commit=False))

    def ask(self, statement: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
        """The one row of a reading statement that brings its own scope: one message, with no transaction around it.

        In the driver's own words (`%(name)s`), and past SQLAlchemy, which takes four times as long as the database.
        """
        try:
            pooled = self.engine.raw_connection()
        except psycopg.Error as error:
            raise wrapped(error) from error
        driver: BoundedConnection = pooled.driver_connection  # type: ignore[assignment] # made by `_connect_bounded`
        try:
            return driver.cursor(row_factory=dict_row).execute(statement, parameters).fetchone()
        except psycopg.Error as error:
            if driver.closed:
                pooled.invalidate(error)
        finally:
            pooled.close()
        return self._ask_again(statement, parameters)

    def _ask_again(self, statement: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
        """By SQLAlchemy, which gives up what was cut with all that are as old, and says what went wrong."""
        try:
            return self._ask_carefully(statement, parameters)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        return self._ask_carefully(statement, parameters)

    def _ask_carefully(self, statement: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
        with self._scoped(None).connect() as connection:
            found = connection.exec_driver_sql(statement, parameters).mappings().one_or_none()
        return None if found is None else dict(found)

    def dispose(self) -> None:
        self.engine.dispose()


class Unit:
    """One transaction and its session. It takes no connection before it begins."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.is_over = False
        self._has_begun = False
        session.info[_HOOKS], session.info[_LAST_STEPS] = [], []

    def begin(self) -> None:
        """Once, however often it is called. Where the pooled connection was cut meanwhile it takes another, unseen.

        To begin is to ask whether the connection is alive, and nothing has happened yet when the answer is no. A pool
        that pings before (`pool_pre_ping`) asks the same thing twice.
        """
        if self._has_begun:
            return
        self._has_begun = True
        try:
            self.session.connection()
        except DBAPIError as error:
            self.session.close()
            if not error.connection_invalidated:
                raise
            # the pool gives up every connection as old as that one
            self.session.connection()

    def commit(self) -> None:
        """And then run the hooks. What fails before it is committed must be rolled back by the caller."""
        _run_last_steps(self.session)
        self.session.commit()
        self.session.close()
        self.is_over = True
        hooks: list[Callable[[], None]] = self.session.info[_HOOKS]
        for hook in hooks:
            _run_hook(hook)

    def roll_back(self) -> None:
        """Of one that is over it changes nothing."""
        if not self.is_over:
            self.is_over = True
            self.session.close()


@dataclass(frozen=True, slots=True)
class _LastStep:
    order: str
    run: Callable[[], None]
    savepoint: SessionTransaction | None


def before_commit(session: Session, step: Callable[[], None], *, order: str = "") -> None:
    """Run `step` as the last thing of the transaction, after those of a lesser `order`.

    For locks that many want: they are held for as long as a commit takes, and always in one order. A rollback, of the
    savepoint that `step` was given in too, discards it.
    """
    session.info[_LAST_STEPS].append(_LastStep(order, step, session.get_nested_transaction()))


def after_commit(session: Session, hook: Callable[[], None]) -> None:
    """Run `hook` once the transaction is committed; a rollback discards it. Hooks are hints: a failure is logged."""
    session.info[_HOOKS].append(hook)


def _connect_bounded(
    _dialect: Dialect, _record: ConnectionPoolEntry, args: list[Any], arguments: dict[str, Any]
) -> BoundedConnection:
    return BoundedConnection.connect(*args, **arguments)


def _begin(connection: Connection) -> None:
    """Of every transaction of the engine; one opened past `Database.session` has no scope, and sees nothing."""
    scope: Scope | None = connection.get_execution_options().get(_SCOPE, Scope())
    if scope is None:
        return
    driver: BoundedConnection = connection.connection.driver_connection  # type: ignore[assignment] # as above
    try:
        driver.execute(_beginning(scope))
    except psycopg.Error:
        # SQLAlchemy finds out what is wrong with it, and gives up what was cut
        connection.exec_driver_sql("select 1")
        raise


@lru_cache(maxsize=1000)
def _beginning(scope: Scope) -> sql.Composed:
    """Both statements in one message, which only the simple protocol takes: hence the literals."""
    return sql.SQL("begin; select set_config('app.workspace_id', {}, true), set_config('app.scope', {}, true)").format(
        sql.Literal(scope.workspace_id or ""), sql.Literal("system" if scope.is_system else "workspace")
    )


def _run_last_steps(session: Session) -> None:
    for step in sorted(session.info[_LAST_STEPS], key=lambda step: step.order):
        step.run()


def _forget_steps(session: Session, undone: SessionTransaction) -> None:
    steps: list[_LastStep] = session.info.get(_LAST_STEPS, [])
    session.info[_LAST_STEPS] = [step for step in steps if step.savepoint is not undone]


event.listen(_ScopedSession, "after_soft_rollback", _forget_steps)


def _run_hook(hook: Callable[[], None]) -> None:
    try:
        hook()
    except Exception:
        # the row is committed and is the truth; the reconciler repeats what a lost hint would have started
        logger.exception("an after-commit hook failed")
