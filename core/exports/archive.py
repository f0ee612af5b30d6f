"""Stored files as one zip archive, made while it is sent: no second copy, constant memory, and its size known before.

Nothing is compressed: weights do not become smaller. Sizes and checksums are known, so every entry has them in front
of its bytes, which readers need that do not look ahead. Layout: APPNOTE.TXT 6.3.9, with the zip64 fields throughout.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

_VERSION: Final = 45
_UTF8: Final = 1 << 11
_NO_TIME, _FIRST_DAY = 0, (1 << 5) | 1  # the first of January 1980: the same bytes each time
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF
_READABLE: Final = 0o100644 << 16
_UNIX: Final = 3 << 8


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of an export in the object store."""

    name: str
    key: str
    sha256: str
    crc32: int
    num_bytes: int

    @classmethod
    def of(cls, entry: dict[str, Any]) -> "StoredFile":
        return cls(**entry)

    def as_entry(self) -> dict[str, Any]:
        return asdict(self)


def size_of(files: Sequence[StoredFile], *, folder: str) -> int:
    """Bytes of the whole archive."""
    heads = sum(len(_local(file, folder)) + file.num_bytes for file in files)
    return heads + len(_directory(files, folder))


def chunks_of(files: Sequence[StoredFile], *, folder: str, read: Callable[[str], Iterator[bytes]]) -> Iterator[bytes]:
    """The archive. Raises `ValueError` in the middle for a file that is not as long as it was."""
    for file in files:
        yield _local(file, folder)
        left = file.num_bytes
        for chunk in read(file.key):
            left -= len(chunk)
            yield chunk
        if left:
            raise ValueError(f"{file.key} has not the size that was written down")
    yield _directory(files, folder)


def _path(file: StoredFile, folder: str) -> bytes:
    return f"{folder}/{file.name}".encode()


def _local(file: StoredFile, folder: str) -> bytes:
    path = _path(file, folder)
    extra = struct.pack("<HHQQ", 1, 16, file.num_bytes, file.num_bytes)
    head = struct.pack(
        "<4sHHHHHIIIHH",
        b"PK\x03\x04", _VERSION, _UTF8, 0, _NO_TIME, _FIRST_DAY, file.crc32, _FULL_32, _FULL_32, len(path), len(extra),
    )  # fmt: skip
    return head + path + extra


def _directory(files: Sequence[StoredFile], folder: str) -> bytes:
    entries, offset = b"", 0
    for file in files:
        path = _path(file, folder)
        extra = struct.pack("<HHQQQ", 1, 24, file.num_bytes, file.num_bytes, offset)
        entries += struct.pack(
            "<4sHHHHHHIIIHHHHHII",
            b"PK\x01\x02", _UNIX | _VERSION, _VERSION, _UTF8, 0, _NO_TIME, _FIRST_DAY, file.crc32, _FULL_32, _FULL_32,
            len(path), len(extra), 0, 0, 0, _READABLE, _FULL_32,
        ) + path + extra  # fmt: skip
        offset += len(_local(file, folder)) + file.num_bytes
    end_64 = struct.pack(
        "<4sQHHIIQQQQ",
        b"PK\x06\x06",
        44,
        _UNIX | _VERSION,
        _VERSION,
        0,
        0,
        len(files),
        len(files),
        len(entries),
        offset,
    )
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, offset + len(entries), 1)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, _FULL_16, _FULL_16, _FULL_32, _FULL_32, 0)
    return entries + end_64 + locator + end
