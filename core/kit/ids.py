"""Prefixed, time-ordered ids: `ds_01jd…`. Sorting ids sorts by creation, so a list pages by id alone."""

import secrets
import time
from datetime import datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base32: no i, l, o, u
_NUM_CHARS = 26
_RANDOM_BITS = 80


def new_id(prefix: str) -> str:
    """`prefix` (with its separator) + 26 characters: 48 bits of milliseconds, 80 random bits (the ULID layout)."""
    return prefix + _encoded((time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS))


def first_id(prefix: str, moment: datetime) -> str:
    """The least id that `new_id` can have made at `moment`: what was made earlier sorts before it."""
    return prefix + _encoded(int(moment.timestamp() * 1000) << _RANDOM_BITS)


def _encoded(value: int) -> str:
    chars = [_ALPHABET[(value >> shift) & 31] for shift in range((_NUM_CHARS - 1) * 5, -1, -5)]
    return "".join(chars)
