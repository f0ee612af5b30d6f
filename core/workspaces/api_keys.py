"""The form of an API key: `tb_live_`, 30 random base62 characters (178 bits), 6 of checksum.

The checksum lets a scanner of leaked secrets, and us, tell a key from noise without asking the database. So much
randomness needs no slow hash: sha256 is kept.
"""

import secrets
import string
import zlib

PREFIX = "tb_live_"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_NUM_RANDOM = 30
_NUM_CHECKSUM = 6


def new_key() -> str:
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_NUM_RANDOM))
    return PREFIX + body + _checksum(body)


def is_well_formed(key: str) -> bool:
    body, checksum = key[len(PREFIX) : -_NUM_CHECKSUM], key[-_NUM_CHECKSUM:]
    return (
        key.startswith(PREFIX)
        and len(body) == _NUM_RANDOM
        and secrets.compare_digest(checksum.encode(), _checksum(body).encode())
    )


def _checksum(body: str) -> str:
    value = zlib.crc32(body.encode())
    digits = ""
    for _ in range(_NUM_CHECKSUM):
        value, remainder = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[remainder] + digits
    return digits
