"""The only place that asks the machine what time it is. Leases use the database's `now()`, never this."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(tz=UTC)


def unix_s(moment: datetime) -> int:
    """Whole seconds since the epoch, as the OpenAI wire wants them."""
    return int(moment.timestamp())
