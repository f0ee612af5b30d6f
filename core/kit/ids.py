"""Prefixed, time-ordered ids: `ds_01jd…`. Sorting ids sorts by creation, so a list pages by id alone."""

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base32: no i, l, o, u
_NUM_CHARS = 26
_RANDOM_BITS = 80


def new_id(prefix: str) -> str:
    """`prefix` (with its separator) + 26 characters: 48 bits of milliseconds, 80 random bits (the ULID layout)."""
    value = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    chars = [_ALPHABET[(value >> shift) & 31] for shift in range((_NUM_CHARS - 1) * 5, -1, -5)]
    return prefix + "".join(chars)
