from collections import Counter
from datetime import datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from core.jobs.kinds import JobKind, QueueName
from core.jobs.models import Job, JobAttempt
from core.jobs.states import AttemptOutcome, JobState
from core.kit.ids import first_id
from core.monitoring.metrics.types import QUANTILES, WebhookFigures
from core.usage.models import LedgerEntry, LedgerKind


class MetricsRepository:
    """Needs a system session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def num_jobs(self) -> dict[tuple[QueueName, JobState], int]:
        rows = self._session.execute(select(Job.queue, Job.state, func.count()).group_by(Job.queue, Job.state))
        return {(queue, state): num for queue, state, num in rows}

    def num_attempts(self) -> dict[tuple[JobKind, AttemptOutcome], int]:
        rows = self._session.execute(
            select(Job.kind, JobAttempt.outcome, func.count())
            .join(Job, Job.id == JobAttempt.job_id)
            .where(JobAttempt.outcome.is_not(None))
            .group_by(Job.kind, JobAttempt.outcome)
        )
        return {(kind, outcome): num for kind, outcome, num in rows if outcome is not None}

    def waits_s(self) -> dict[QueueName, tuple[float, ...]]:
        """How long what was claimed in the last hour had been due, where that is still known."""
        rows = self._session.execute(
            text(
                """
                select queue, percentile_cont(cast(:quantiles as float[])) within group (
                    order by extract(epoch from a.created_at - jobs.queued_at)) as waits_s
                from job_attempts a join jobs on jobs.id = a.job_id
                where a.created_at > now() - interval '1 hour'
                  and a.attempt = jobs.attempt and jobs.queued_at <= a.created_at
                group by queue
                """
            ),
            {"quantiles": list(QUANTILES)},
        )
        return {QueueName(row.queue): tuple(map(float, row.waits_s)) for row in rows}

    def runs_s(self) -> dict[JobKind, tuple[float, ...]]:
        """How long the attempts took that were begun in the last day and ended in the last hour."""
        rows = self._session.execute(
            text(
                """
                select kind, percentile_cont(cast(:quantiles as float[])) within group (
                    order by extract(epoch from a.ended_at - a.created_at)) as runs_s
                from job_attempts a join jobs on jobs.id = a.job_id
                where a.created_at > now() - interval '1 day' and a.ended_at > now() - interval '1 hour'
                group by kind
                """
            ),
            {"quantiles": list(QUANTILES)},
        )
        return {JobKind(row.kind): tuple(map(float, row.runs_s)) for row in rows}

    def webhooks(self) -> WebhookFigures:
        row = self._session.execute(
            text(
                """
                select count(delivery.id) as num_pending,
                    coalesce(extract(epoch from now() - min(delivery.next_attempt_at)), 0) as oldest_due_s,
                    (select count(*) from webhook_endpoints where disabled_reason <> 'by_admin') as num_disabled
                from webhook_deliveries delivery
                join webhook_endpoints endpoint on endpoint.id = delivery.endpoint_id and endpoint.disabled_at is null
                where delivery.state = 'pending'
                """
            )
        ).one()
        return WebhookFigures(
            num_pending=row.num_pending, oldest_due_s=max(0.0, float(row.oldest_due_s)), num_disabled=row.num_disabled
        )

    def ledger_micros(self, *, start: datetime, end: datetime | None = None) -> Counter[LedgerKind]:
        """What was charged from `start` on and before `end`, by the times in the entries' ids, which have an index."""
        query = (
            select(LedgerEntry.kind, func.sum(LedgerEntry.amount_micros))
            .where(LedgerEntry.id >= first_id("led_", start))
            .group_by(LedgerEntry.kind)
        )
        if end is not None:
            query = query.where(LedgerEntry.id < first_id("led_", end))
        return Counter({kind: int(micros) for kind, micros in self._session.execute(query)})

    def closed_until(self) -> datetime:
        """The beginning of yesterday, by the database's clock: no entry from before it is still being written."""
        found: datetime = self._session.scalars(select(func.date_trunc("day", func.now() - timedelta(days=1)))).one()
        return found
