"""What is kept of the other side's answers: enough to find a mistake, and nothing that opens a door."""

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from core.kit.clock import utc_now
from core.kit.redaction import redacted_text

MAX_BYTES = 2048
_MAX_RETRY_AFTER_S = 24 * 3600.0
# statuses by which the other side asks for fewer calls (Standard Webhooks, section on throttling), and the usual 503
_THROTTLED = frozenset({429, 502, 503, 504})
_UNPRINTABLE = re.compile(r"[^\S\n\t ]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def excerpt(body: bytes) -> str | None:
    """The beginning of an answer as text, without what looks like a secret; None for an empty one."""
    # cut before anything is looked for, so that no pattern meets more than this
    text = _UNPRINTABLE.sub("�", body[:MAX_BYTES].decode(errors="replace").replace("\r\n", "\n"))
    return redacted_text(text) or None


def retry_after_s(status: int, headers: Mapping[str, str]) -> float | None:
    """For how long the other side asks not to be called, in either form of RFC 9110; at most a day."""
    given = headers.get("retry-after", "").strip()
    if status not in _THROTTLED or not given:
        return None
    try:
        seconds = float(given)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(given) - utc_now()).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(0.0, seconds), _MAX_RETRY_AFTER_S) if math.isfinite(seconds) else None
