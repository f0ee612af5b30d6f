"""A stream of bytes in base64, in constant memory."""

import base64
from collections.abc import Iterable, Iterator

_GROUP = 3


def in_base64(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Only whole groups of three bytes can be written; what is over waits for the next chunk."""
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        num_whole = len(data) - len(data) % _GROUP
        yield base64.b64encode(data[:num_whole])
        rest = data[num_whole:]
    yield base64.b64encode(rest)


def encoded_length(num_bytes: int) -> int:
    return -(-num_bytes // _GROUP) * 4
