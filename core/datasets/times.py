"""When something was said, as exports write it: to put messages in order, and to tell the newest rows."""

import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite, isnan, nan
from typing import Any

# 28.11.2026, 11/28/2026 2:05 PM, 28-11-2026 14:05:31
_NUMERIC = re.compile(
    r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})"
    r"(?:[ ,T]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*([ap])?\.?(?:m\.?)?)?",
    re.IGNORECASE,
)
_WRITTEN = (
    "%b %d, %Y %I:%M %p", "%B %d, %Y %I:%M %p", "%b %d, %Y", "%B %d, %Y", "%b %d, %Y %H:%M",
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d",
)  # fmt: skip
_MAX_CHARS = 64

# in rows that say by themselves what they are
_FIELDS = ("created_at", "timestamp", "date")

Order = Callable[[int], tuple[float, int]]
_HALF_DAY_H = 12
_CENTURY = 100


class Times:
    """The times of a file's messages, in the order in which they are added.

    Whether 03/04 is in March or in April, the file as a whole decides: by a day after the twelfth.
    """

    def __init__(self) -> None:
        self._day_first, self._month_first = array("d"), array("d")
        self._is_day_first_possible = self._is_month_first_possible = True
        self._last = nan
        self._num_later = 0

    def add(self, written: str) -> bool:
        """False if it cannot be read."""
        day_first, month_first = _read(written.strip())
        self._day_first.append(day_first)
        self._month_first.append(month_first)
        if isnan(day_first) and isnan(month_first):
            return False
        self._is_day_first_possible &= not isnan(day_first)
        self._is_month_first_possible &= not isnan(month_first)
        known = day_first if isnan(month_first) else month_first
        self._num_later += (known > self._last) - (known < self._last)
        self._last = known
        return True

    def moments(self) -> Sequence[float]:
        """What each is taken for, in the order in which they were added; not a number where it cannot be read."""
        is_day_first = self._is_day_first_possible or not self._is_month_first_possible
        return self._day_first if is_day_first else self._month_first

    def orders(self) -> Order:
        """What to sort the numbers of messages by. At the same time the file's order decides: newest first in many."""
        times = self.moments()
        step = -1 if self._num_later < 0 else 1
        return lambda number: (times[number], step * number)


def written_in(values: Mapping[str, Any]) -> str | None:
    """The time of a row that says by itself what it is; None of one that tells none."""
    for name in _FIELDS:
        value = values.get(name)
        if value is not None and not isinstance(value, bool | dict | list):
            return str(value)
    return None


def _read(written: str) -> tuple[float, float]:
    """Seconds, if the day comes first and if the month does; not a number where that is no time.

    Plain numbers order too: seconds since 1970, and the first, second, third message.
    """
    found = _NUMERIC.fullmatch(written) if len(written) <= _MAX_CHARS else None
    if found is not None:
        return _of_numbers(found, is_day_first=True), _of_numbers(found, is_day_first=False)
    for read in _READERS:
        # the reader of mails fails in many ways, and overlooks PM
        with suppress(ValueError, TypeError, IndexError, OverflowError):
            seconds = read(written) if len(written) <= _MAX_CHARS else nan
            if isfinite(seconds):
                return seconds, seconds
    return nan, nan


def _of_numbers(found: re.Match[str], *, is_day_first: bool) -> float:
    first, second, year, hour = int(found[1]), int(found[3]), int(found[4]), int(found[5] or 0)
    day, month = (first, second) if is_day_first else (second, first)
    if found[8]:
        hour = hour % _HALF_DAY_H + (_HALF_DAY_H if found[8] in "pP" else 0)
    if year < _CENTURY:
        year += 2000
    try:
        return _seconds(datetime(year, month, day, hour, int(found[6] or 0), int(found[7] or 0), tzinfo=UTC))
    except ValueError:
        return nan


def _seconds(moment: datetime) -> float:
    """What names no zone is taken for UTC: messages of one file are compared with each other only."""
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _of_iso(written: str) -> float:
    return _seconds(datetime.fromisoformat(written))


def _of_mail(written: str) -> float:
    return _seconds(parsedate_to_datetime(written))


def _of_words(written: str) -> float:
    for form in _WRITTEN:
        with suppress(ValueError):
            return _seconds(datetime.strptime(written, form).replace(tzinfo=UTC))
    return nan


_READERS: tuple[Callable[[str], float], ...] = (float, _of_iso, _of_words, _of_mail)
