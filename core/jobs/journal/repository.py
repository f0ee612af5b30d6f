"""What jobs said: their events, which people read, and what their children printed, which admins read.

Children know no secret of ours; what they or a library of theirs print is redacted all the same before it is kept.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, insert, select, text
from sqlalchemy.orm import Session

from core.jobs.models import Job, JobEvent, JobLog
from core.jobs.types import EventType, Lease, NewEvent
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.kit.redaction import redacted, redacted_text

_NO_END = 2**63 - 1

# M4 (Jugel, Jerzak, Hackenbroich, Markl 2014): of each stretch of steps the first, the last, and those of the lowest
# and the highest loss draw the same line, pixel by pixel, as all of them. What a later attempt said again counts in the
# place of what was said before. Other measurements (of held-out rows) are few, and all kept.
_CURVE = """
with said as materialized (
    select seq, attempt, (data->>'step')::bigint as step,
        case when jsonb_typeof(data->'train_loss') = 'number' then (data->>'train_loss')::double precision end as loss,
        data->'valid_loss' is not null or data->'full_valid_loss' is not null as is_measured
    from job_events
    where job_id = :job_id and workspace_id = :workspace_id and type = 'metrics'
      and jsonb_typeof(data->'step') = 'number'
), attempts as materialized (
    select attempt, min(step) as first, max(step) as last from said where loss is not null group by attempt
), trained as materialized (
    select step, loss from said
    where loss is not null and step between :from_step and :to_step
      and (attempt = (select max(attempt) from attempts) or not exists (
        select from attempts later
        where later.attempt > said.attempt and said.step between later.first and later.last))
), range as materialized (
    select count(*) as num_steps, min(step) as first, max(step) - min(step) + 1 as length from trained
), kept as (
    select unnest(array[min(step), max(step),
        (min(array[loss, step]))[2]::bigint, (max(array[loss, step]))[2]::bigint]) as step
    from trained
    where (select num_steps from range) > :max_points
    group by (step - (select first from range)) * :num_stretches / (select length from range)
    union all
    select step from said where loss is null or is_measured
)
select (select num_steps from range) as num_steps, coalesce(array_agg(seq), '{}') as seqs
from said
where step between :from_step and :to_step
  and ((select num_steps from range) <= :max_points or step in (select step from kept))
"""
# a hundred thousand steps fit into memory; at Postgres's 4 MB they are sorted on disk
_CURVE_MEMORY = "32MB"


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
                "message": redacted_text(event.message),
                "data": event.data if event.type is EventType.METRICS else redacted(event.data),
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

    def curve(
        self, job_id: str, *, max_points: int, from_step: int | None, to_step: int | None
    ) -> tuple[int, Sequence[JobEvent]]:
        """How many steps of training the range has, and the events that a chart of `max_points` needs, in order."""
        self._session.execute(text("select set_config('work_mem', :size, true)"), {"size": _CURVE_MEMORY})
        found = self._session.execute(
            text(_CURVE),
            {
                "job_id": job_id,
                "workspace_id": self._workspace_id,
                "from_step": 0 if from_step is None else from_step,
                "to_step": _NO_END if to_step is None else to_step,
                "max_points": max_points,
                # each stretch gives up to four points
                "num_stretches": max(1, max_points // 4),
            },
        ).one()
        events = self._select_events(job_id, EventType.METRICS).where(JobEvent.seq == func.any(found.seqs))
        return found.num_steps, self._session.scalars(events.order_by(JobEvent.seq)).all()

    def add_log(self, lease: Lease, text: str, *, max_chars: int) -> None:
        """Keep what was printed; of more than `max_chars` an attempt, the oldest pieces go."""
        self._session.execute(
            insert(JobLog).values(
                job_id=lease.job_id, workspace_id=lease.workspace_id, attempt=lease.attempt, text=redacted_text(text)
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
