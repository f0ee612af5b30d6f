"""How much a model is asked, how that goes and how long it takes, from figures kept of each question."""

from datetime import timedelta
from typing import Final

from sqlalchemy.orm import Session

from core.config import Settings
from core.kit.clock import utc_now
from core.serving import catalogue
from core.serving.traffic.repository import ExpiredTrafficRepository, TrafficRepository
from core.serving.traffic.types import MAX_DAYS, DayTraffic, NewRequest, Traffic

_MAX_ERRORS: Final = 5
_SWEPT_AT_ONCE: Final = 1000


def note(session: Session, new: NewRequest) -> None:
    """Keep the figures of one question, once however often this is called for it."""
    TrafficRepository(session, new.workspace_id).add(new)


def of_model(session: Session, *, workspace_id: str, model_id: str, days: int, settings: Settings) -> Traffic:
    """What the workspace asked of a model or of an alias, today and on the days before it, `days` in all (UTC).

    A model is told with what came by its aliases. Raises `NotFound` (`model_not_found`).
    """
    found = catalogue.get_model(session, workspace_id=workspace_id, model_id=model_id, settings=settings)
    repository, is_alias = TrafficRepository(session, workspace_id), found.kind == "alias"
    today = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    start = today - timedelta(days=days - 1)
    known = repository.by_day(model_id, is_alias=is_alias, start=start)
    dates = [(start + timedelta(days=number)).date() for number in range(days)]
    return Traffic(
        totals=repository.totals(model_id, is_alias=is_alias, start=start),
        errors=repository.errors(model_id, is_alias=is_alias, start=start, limit=_MAX_ERRORS),
        by_day=tuple(known.get(date, DayTraffic(date)) for date in dates),
    )


def sweep(session: Session) -> int:
    """Delete some of what no page tells any more; how many, 0 when all of it is gone. Needs a system session."""
    # the first of the days told began up to a day earlier than that many days ago
    return ExpiredTrafficRepository(session).remove(older_than_days=MAX_DAYS + 1, limit=_SWEPT_AT_ONCE)
