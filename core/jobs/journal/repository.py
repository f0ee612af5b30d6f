"""What jobs said: their events, which people read, and what their children printed, which admins read."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, insert, select
from sqlalchemy.orm import Session

from core.jobs.models import Job, JobEvent, JobLog
from core.jobs.types import EventType, Lease, NewEvent
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest


class JournalRepository:
    def __init__(self, session: Session, workspace_id: str | None = None) -> None:
        """Without a workspace over all of them, for sessions of the system scope."""
        self._session = session
        self._workspace_id = workspace_id

    def add_events(self, job: Job, events: Sequence[NewEvent]) -> None:
        """The caller holds the job's row, so that `seq` grows in the order of commits."""
        rows = [
            {
                "id": new_id("ftevent-"),
                "workspace_id": job.workspace_id,
                "job_id": job.id,
                "attempt": job.attempt,
                "level": event.level,
                "type": event.type,
                "message": event.message,
                "data": event.data,
            }
            for event in events
        ]
        if rows:
            self._session.execute(insert(JobEvent), rows)

    def events_page(self, job_id: str, page: PageRequest, type_: EventType | None) -> Page[JobEvent]:
        """Newest first unless the request says ascending."""
        query = self._select_events(job_id, type_).limit(page.limit + 1)
        query = query.order_by(JobEvent.seq if page.ascending else JobEvent.seq.desc())
        if page.after:
            seq = select(JobEvent.seq).where(JobEvent.job_id == job_id, JobEvent.id == page.after).scalar_subquery()
            query = query.where(JobEvent.seq > seq if page.ascending else JobEvent.seq < seq)
        return Page.cut(self._session.scalars(query).all(), page.limit)

    def events_after(self, job_id: str, after_seq: int, type_: EventType | None, limit: int) -> Sequence[JobEvent]:
        query = self._select_events(job_id, type_).where(JobEvent.seq > after_seq).order_by(JobEvent.seq).limit(limit)
        return self._session.scalars(query).all()

    def add_log(self, lease: Lease, text: str, *, max_chars: int) -> None:
        """Keep what was printed; of more than `max_chars` an attempt, the oldest pieces go."""
        self._session.execute(
            insert(JobLog).values(
                job_id=lease.job_id, workspace_id=lease.workspace_id, attempt=lease.attempt, text=text
            )
        )
        pieces = (
            select(
                JobLog.seq,
                func.sum(func.length(JobLog.text)).over(order_by=JobLog.seq.desc()).label("num_chars"),
            )
            .where(JobLog.job_id == lease.job_id, JobLog.attempt == lease.attempt)
            .subquery()
        )
        self._session.execute(
            delete(JobLog).where(JobLog.seq.in_(select(pieces.c.seq).where(pieces.c.num_chars > max_chars)))
        )

    def logs_after(self, job_id: str, after_seq: int, limit: int) -> Sequence[JobLog]:
        return self._session.scalars(
            select(JobLog)
            .where(JobLog.job_id == job_id, JobLog.seq > after_seq, *self._own(JobLog.workspace_id))
            .order_by(JobLog.seq)
            .limit(limit)
        ).all()

    def _select_events(self, job_id: str, type_: EventType | None) -> Select[JobEvent]:
        query = select(JobEvent).where(JobEvent.job_id == job_id, *self._own(JobEvent.workspace_id))
        return query if type_ is None else query.where(JobEvent.type == type_)

    def _own(self, column: Any) -> list[ColumnElement[bool]]:  # noqa: ANN401 - an ORM attribute
        return [] if self._workspace_id is None else [column == self._workspace_id]
