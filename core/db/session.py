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

from psycopg import sql
from sqlalchemy import Connection, Dialect, Engine, Executable, RowMapping, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.pool import ConnectionPoolEntry

from core.db.connection import BoundedConnection

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

    @contextmanager
    def session(self, scope: Scope) -> Iterator[Session]:
        """A transaction: commits when the block ends, rolls back when it raises, then runs the after-commit hooks."""
        with self._begun(scope) as session:
            session.info[_HOOKS] = []
            session.info[_LAST_STEPS] = []
            try:
                yield session
                _run_last_steps(session)
                session.commit()
            except BaseException:
                session.rollback()
                raise
            hooks: list[Callable[[], None]] = session.info[_HOOKS]
        for hook in hooks:
            _run_hook(hook)

    def _begun(self, scope: Scope) -> Session:
        """A session in its transaction. One whose pooled connection was cut meanwhile gets a new one, unseen.

        To begin is to ask whether the connection is alive, and nothing has happened yet when the answer is no. A pool
        that pings before (`pool_pre_ping`) asks the same thing twice.
        """
        engine = self.engine.execution_options(**{_SCOPE: scope})
        session = _ScopedSession(engine, expire_on_commit=False)
        try:
            session.connection()
        except DBAPIError as error:
            session.close()
            if not error.connection_invalidated:
                raise
            # the pool gives up every connection as old as that one
            session = _ScopedSession(engine, expire_on_commit=False)
            session.connection()
        return session

    def ask(self, statement: Executable, parameters: dict[str, Any]) -> RowMapping | None:
        """The one row of a reading statement that brings its own scope: one message, with no transaction around it."""
        engine = self.engine.execution_options(**{_SCOPE: None})
        try:
            with engine.connect() as connection:
                return connection.execute(statement, parameters).mappings().one_or_none()
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        with engine.connect() as connection:
            return connection.execute(statement, parameters).mappings().one_or_none()

    def dispose(self) -> None:
        self.engine.dispose()


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
    if scope is not None:
        connection.exec_driver_sql(_beginning(scope))


@lru_cache(maxsize=1000)
def _beginning(scope: Scope) -> str:
    """Both statements in one message, which only the simple protocol takes: hence the literal."""
    workspace_id = sql.Literal(scope.workspace_id or "").as_string().replace("%", "%%")
    kind = "system" if scope.is_system else "workspace"
    return (
        f"begin; select set_config('app.workspace_id', {workspace_id}, true), set_config('app.scope', '{kind}', true)"
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
