"""What jobs said: their events, which people read, and what their children printed, which admins read."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, insert, select, text
from sqlalchemy.orm import Session

from core.jobs.models import Job, JobEvent, JobLog
from core.jobs.types import EventType, Lease, NewEvent
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest

_NO_END = 2**63 - 1

# M4 (Jugel, Jerzak, Hackenbroich, Markl 2014): of each stretch of steps the first, the last, and those of the lowest
# and the highest loss draw the same line, pixel by pixel, as all of them. Where an attempt repeated a step its later word
# counts. Points with a held-out measurement are few, and all kept.
_CURVE_STEPS = """
with said as materialized (
    select seq, (data->>'step')::bigint as step,
        case when jsonb_typeof(data->'train_loss') = 'number' then (data->'train_loss')::double precision end as loss,
        data ?| array['valid_loss', 'full_valid_loss'] as is_heldout
    from job_events
    where job_id = :job_id and workspace_id = :workspace_id and type = 'metrics'
      and jsonb_typeof(data->'step') = 'number'
), by_step as materialized (
    select step, (max(array[seq, loss]) filter (where loss is not null))[2] as loss, bool_or(is_heldout) as is_heldout
    from said where step between :from_step and :to_step
    group by step
), range as (
    select count(*) as num_steps, min(step) as first_step, max(step) as last_step from by_step
), stretches as (
    select min(step) as first, max(step) as last,
        (min(array[loss, step]) filter (where loss is not null))[2]::bigint as lowest,
        (max(array[loss, step]) filter (where loss is not null))[2]::bigint as highest
    from by_step, range
    where num_steps > :max_points
    group by (step - first_step) * :num_stretches / (last_step - first_step + 1)
), kept as (
    select unnest(array[first, last, lowest, highest]) as step from stretches
    union
    select step from by_step, range where is_heldout or num_steps <= :max_points
)
select (select num_steps from range) as num_steps, (select array_agg(step) from kept where step is not null) as steps
"""
_MEASUREMENTS = """
select data from job_events
where job_id = :job_id and workspace_id = :workspace_id and type = 'metrics'
  and jsonb_typeof(data->'step') = 'number' and (data->>'step')::bigint = any(:steps)
order by seq
"""


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

    def curve_steps(
        self, job_id: str, *, max_points: int, from_step: int | None, to_step: int | None
    ) -> tuple[int, list[int]]:
        """How many steps were measured in the range, and those that a chart of `max_points` needs (M4)."""
        row = self._session.execute(
            text(_CURVE_STEPS),
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
        return row.num_steps, row.steps or []

    def measurements(self, job_id: str, *, steps: Sequence[int]) -> Sequence[dict[str, Any]]:
        """All that was measured at these steps, in the order it was said."""
        rows = self._session.execute(
            text(_MEASUREMENTS), {"job_id": job_id, "workspace_id": self._workspace_id, "steps": list(steps)}
        )
        return [row.data for row in rows]

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
