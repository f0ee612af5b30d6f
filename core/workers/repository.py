from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, delete, func, insert, or_, select, text, update
from sqlalchemy.orm import Session

from core.jobs.kinds import QueueName
from core.kit.ids import new_id
from core.workers.models import Worker, WorkerToken
from core.workers.types import SILENT_AFTER_S, DrainMode, Vitals

_TOUCH_EVERY_S = 60


class WorkerRepository:
    """Worker processes serve every workspace."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        *,
        worker_id: str,
        hostname: str,
        queue: QueueName,
        pid: int,
        version: str,
        vitals: Vitals,
        token_id: str | None,
        drain_mode: DrainMode | None,
    ) -> None:
        self._session.execute(
            insert(Worker).values(
                id=worker_id,
                hostname=hostname,
                queue=queue,
                pid=pid,
                version=version,
                token_id=token_id,
                drain_mode=drain_mode,
                drain_requested_at=None if drain_mode is None else func.now(),
                started_at=func.now(),
                heartbeat_at=func.now(),
                **_columns(vitals),
            )
        )

    def beat(self, worker_id: str, vitals: Vitals) -> Worker | None:
        """None if the worker is not there (any more)."""
        return self._change(worker_id, heartbeat_at=func.now(), **_columns(vitals))

    def drain(self, worker_id: str, mode: DrainMode) -> Worker | None:
        return self._change(
            worker_id,
            drain_requested_at=func.coalesce(Worker.drain_requested_at, func.now()),
            # who was told to hand back is not told to go on
            drain_mode=case((Worker.drain_mode == DrainMode.NOW, DrainMode.NOW), else_=mode),
        )

    def undrain(self, worker_id: str) -> Worker | None:
        return self._change(worker_id, drain_requested_at=None, drain_mode=None)

    def remove(self, worker_id: str) -> None:
        self._session.execute(delete(Worker).where(Worker.id == worker_id))

    def remove_silent(self, after_s: float) -> None:
        self._session.execute(delete(Worker).where(Worker.heartbeat_at < _seconds_ago(after_s)))

    def all(self) -> Sequence[Worker]:
        return self._session.scalars(select(Worker).order_by(Worker.queue, Worker.id)).all()

    def queues(self) -> set[QueueName]:
        """The queues that some worker serves."""
        return set(self._session.scalars(select(Worker.queue).distinct()))

    def machines(self, queues: Sequence[QueueName]) -> Sequence[tuple[str, list[dict[str, Any]], int | None]]:
        """(hardware, devices, memory) of the live workers of these queues, those aside that claim no more."""
        found = self._session.execute(
            select(Worker.hardware, Worker.devices, Worker.memory_bytes).where(
                Worker.queue.in_(queues),
                Worker.drain_requested_at.is_(None),
                Worker.heartbeat_at > _seconds_ago(SILENT_AFTER_S),
            )
        )
        return [(hardware, devices, memory_bytes) for hardware, devices, memory_bytes in found]

    def try_lock_reconciler(self) -> bool:
        """One reconciler at a time, until the transaction ends."""
        locked = self._session.scalar(text("select pg_try_advisory_xact_lock(hashtextextended('reconciler', 0))"))
        return bool(locked)

    def _change(self, worker_id: str, **changes: Any) -> Worker | None:  # noqa: ANN401 - columns
        return self._session.scalar(
            update(Worker)
            .where(Worker.id == worker_id)
            .values(**changes)
            .returning(Worker)
            .execution_options(populate_existing=True, synchronize_session=False)
        )


class TokenRepository:
    """Tokens let workers into the whole installation."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, *, name: str, token_sha256: str, created_by: str | None) -> WorkerToken:
        token = WorkerToken(id=new_id("wtk_"), name=name, token_sha256=token_sha256, created_by=created_by)
        self._session.add(token)
        self._session.flush()
        return token

    def with_hash(self, token_sha256: str) -> WorkerToken | None:
        return self._session.scalar(
            select(WorkerToken)
            .where(WorkerToken.token_sha256 == token_sha256)
            .execution_options(populate_existing=True)
        )

    def touch(self, token_id: str) -> None:
        """Note that it was used, at most once a minute."""
        is_old = or_(WorkerToken.last_used_at.is_(None), WorkerToken.last_used_at < _seconds_ago(_TOUCH_EVERY_S))
        self._session.execute(
            update(WorkerToken).where(WorkerToken.id == token_id, is_old).values(last_used_at=func.now())
        )

    def revoke(self, token_id: str) -> WorkerToken | None:
        """Also has its workers drain. None if there is no such token."""
        token = self._session.scalar(
            update(WorkerToken)
            .where(WorkerToken.id == token_id)
            .values(revoked_at=func.coalesce(WorkerToken.revoked_at, func.now()))
            .returning(WorkerToken)
            .execution_options(populate_existing=True, synchronize_session=False)
        )
        if token is not None:
            self._session.execute(
                update(Worker)
                .where(Worker.token_id == token_id)
                .values(
                    drain_requested_at=func.coalesce(Worker.drain_requested_at, func.now()), drain_mode=DrainMode.NOW
                )
            )
        return token


def _columns(vitals: Vitals) -> dict[str, Any]:
    return {
        "hardware": vitals.hardware,
        "devices": [device.as_json() for device in vitals.devices],
        "memory_bytes": vitals.memory_bytes,
        "used_memory_bytes": vitals.used_memory_bytes,
        "job_id": vitals.job_id,
        "num_jobs_done": vitals.num_jobs_done,
    }


def _seconds_ago(seconds: float) -> ColumnElement[Any]:
    return func.now() - timedelta(seconds=seconds)
