"""Queries of served requests."""

from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Date, cast, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.serving.completions.types import Outcome
from core.serving.traffic.models import ServedRequest
from core.serving.traffic.types import DayTraffic, Latency, NewRequest, Totals

_QUANTILES = (0.5, 0.95)


class TrafficRepository:
    """Of one name in one workspace: a model by what answered, an alias by what was asked for."""

    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, new: NewRequest) -> None:
        """One that is there already stays as it is."""
        self._session.execute(
            insert(ServedRequest)
            .values(
                id=new.id,
                workspace_id=self._workspace_id,
                model=new.model,
                alias=new.alias,
                outcome=new.outcome,
                error_code=new.error_code,
                prompt_tokens=new.prompt_tokens,
                completion_tokens=new.completion_tokens,
                first_token_ms=new.first_token_ms,
                total_ms=new.total_ms,
            )
            .on_conflict_do_nothing(index_elements=["id"])
        )

    def totals(self, name: str, *, is_alias: bool, start: datetime) -> Totals:
        whole = ServedRequest.outcome == Outcome.SUCCEEDED
        row = self._session.execute(
            select(
                func.count(),
                func.count().filter(ServedRequest.outcome == Outcome.FAILED),
                func.count().filter(ServedRequest.outcome == Outcome.CANCELLED),
                func.coalesce(func.sum(ServedRequest.prompt_tokens), 0),
                func.coalesce(func.sum(ServedRequest.completion_tokens), 0),
                # rows without first words are left out by the aggregate itself
                *(func.percentile_cont(part).within_group(ServedRequest.first_token_ms) for part in _QUANTILES),
                *(func.percentile_cont(part).within_group(ServedRequest.total_ms).filter(whole) for part in _QUANTILES),
            ).where(*self._of(name, is_alias=is_alias, start=start))
        ).one()
        return Totals(
            num_requests=row[0],
            num_failed=row[1],
            num_cancelled=row[2],
            prompt_tokens=int(row[3]),
            completion_tokens=int(row[4]),
            first_token=_latency(row[5], row[6]),
            whole_answer=_latency(row[7], row[8]),
        )

    def by_day(self, name: str, *, is_alias: bool, start: datetime) -> dict[date, DayTraffic]:
        """Days in UTC on which somebody asked."""
        day = cast(func.timezone("UTC", ServedRequest.created_at), Date)
        rows = self._session.execute(
            select(
                day,
                func.count(),
                func.count().filter(ServedRequest.outcome == Outcome.FAILED),
                func.sum(ServedRequest.prompt_tokens),
                func.sum(ServedRequest.completion_tokens),
            )
            .where(*self._of(name, is_alias=is_alias, start=start))
            .group_by(day)
        )
        return {row[0]: DayTraffic(row[0], row[1], row[2], int(row[3]), int(row[4])) for row in rows}

    def errors(self, name: str, *, is_alias: bool, start: datetime, limit: int) -> tuple[tuple[str, int], ...]:
        """The most frequent first."""
        num, code = func.count(), ServedRequest.error_code
        rows = self._session.execute(
            select(code, num)
            .where(*self._of(name, is_alias=is_alias, start=start), code.is_not(None))
            .group_by(code)
            .order_by(num.desc(), code)
            .limit(limit)
        )
        return tuple((str(row[0]), row[1]) for row in rows)

    def _of(self, name: str, *, is_alias: bool, start: datetime) -> tuple[ColumnElement[bool], ...]:
        return (
            ServedRequest.workspace_id == self._workspace_id,
            (ServedRequest.alias if is_alias else ServedRequest.model) == name,
            ServedRequest.created_at >= start,
        )


class ExpiredTrafficRepository:
    """Across workspaces: needs a system session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def remove(self, *, older_than_days: int, limit: int) -> int:
        """The oldest first, at most `limit`; how many that were."""
        expired = (
            select(ServedRequest.id)
            .where(ServedRequest.created_at < func.now() - timedelta(days=older_than_days))
            .order_by(ServedRequest.created_at)
            .limit(limit)
        )
        gone = delete(ServedRequest).where(ServedRequest.id.in_(expired)).returning(ServedRequest.id)
        return len(self._session.execute(gone).all())


def _latency(p50_ms: float | None, p95_ms: float | None) -> Latency | None:
    return None if p50_ms is None or p95_ms is None else Latency(float(p50_ms), float(p95_ms))
