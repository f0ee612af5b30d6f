"""Streams made of other streams."""

import io
from typing import BinaryIO, cast

from typing_extensions import Buffer

_BUFFER_BYTES = 1024 * 1024


def as_binary(raw: io.RawIOBase) -> BinaryIO:
    return cast("BinaryIO", io.BufferedReader(raw, _BUFFER_BYTES))


class Rejoined(io.RawIOBase):
    """What was read of a stream already, and then the rest of it."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = memoryview(head), rest
        self._num_bytes = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._num_bytes

    def readinto(self, buffer: Buffer) -> int:
        target = memoryview(buffer)
        if self._head:
            num = min(len(target), len(self._head))
            target[:num] = self._head[:num]
            self._head = self._head[num:]
        else:
            data = self._rest.read(len(target))
            num = len(data)
            target[:num] = data
        self._num_bytes += num
        return num
