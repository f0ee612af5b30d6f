"""What is kept of the other side's answers: enough to find a mistake, and nothing that opens a door."""

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from core.kit.clock import utc_now

MAX_BYTES = 2048
_HIDDEN = "[hidden]"
_MAX_RETRY_AFTER_S = 24 * 3600.0
# statuses by which the other side asks for fewer calls (Standard Webhooks, section on throttling), and the usual 503
_THROTTLED = frozenset({429, 502, 503, 504})
_UNPRINTABLE = re.compile(r"[^\S\n\t ]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# whole tokens of known shapes, then whatever follows a telling name
_TOKENS = re.compile(
    r"(whsec_|tb_[a-z]+_|sk-|gh[pousr]_|xox[abp]-|AKIA)[\w+/=-]{8,}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|v1,[\w+/]{43}="
)
_NAMED = re.compile(
    # bounded, so that what is made to be slow is not
    r"(?i)([\"']?[\w-]{0,32}(?:password|passwd|secret|token|api[_-]?key|authorization|cookie|signature)[\w-]{0,32}[\"']?"
    r"\s{0,4}[:=]\s{0,4})"
    r"(\"[^\"]*\"?|'[^']*'?|(?:bearer |basic )?[^\s,;&}\"']+)"
)


def excerpt(body: bytes) -> str | None:
    """The beginning of an answer as text, with what looks like a secret hidden; None for an empty one."""
    # cut before anything is looked for, so that no pattern meets more than this
    text = _UNPRINTABLE.sub("�", body[:MAX_BYTES].decode(errors="replace").replace("\r\n", "\n"))
    text = _NAMED.sub(lambda found: found[1] + _HIDDEN, text)
    return _TOKENS.sub(_HIDDEN, text) or None


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
