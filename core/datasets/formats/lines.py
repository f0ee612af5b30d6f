"""Bytes to lines of text under strict limits. Memory stays below a few MiB whatever the file holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from core.datasets.formats import refusals
from core.datasets.formats.refusals import MAX_RECORD_BYTES

_UTF8_BOM = b"\xef\xbb\xbf"
_SHEET = 'Open it and choose Save as, "CSV UTF-8", then upload that file.'
_EXPORT = "Export the data as CSV (UTF-8) or JSONL and upload that."
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "an Excel workbook or a ZIP archive", _SHEET),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", _SHEET),
    (b"%PDF-", "a PDF", _EXPORT),
    (b"\x1f\x8b", "a gzip archive", "Unpack it and upload the file inside."),
    (b"\x89PNG", "a picture", _EXPORT),
    (b"\xff\xd8\xff", "a picture", _EXPORT),
    (b"PAR1", "a Parquet file", _EXPORT),
    (b"SQLite format 3", "a database", _EXPORT),
    (b"\x7fELF", "a program", _EXPORT),
    (b"{\\rtf", "a Rich Text document", _EXPORT),
)
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


def refuse_binary(head: bytes) -> None:
    """Raise if a file that begins with `head` is of a known binary kind or UTF-16."""
    for magic, kind, fix in _MAGIC:
        if head.startswith(magic):
            raise refusals.binary(kind, fix)
    if head.startswith(_UTF16_BOMS):
        raise refusals.not_utf8(1, "it is UTF-16")


@dataclass(slots=True)
class Position:
    """The number of the record being read; the parser moves it on, and errors in its lines are told with it."""

    row: int = 1


def text_lines(stream: BinaryIO, position: Position) -> Iterator[str]:
    """Lines with their ends, decoded strictly, a byte order mark taken off."""
    is_first = True
    while line := stream.readline(MAX_RECORD_BYTES + 1):
        if is_first:
            refuse_binary(line)
            line = line.removeprefix(_UTF8_BOM)
            is_first = False
        if len(line) > MAX_RECORD_BYTES:
            raise refusals.line_too_long(position.row)
        if b"\0" in line:
            raise refusals.not_text(position.row)
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            where = f"byte 0x{line[error.start]:02x} after {refusals.quoted(line[: error.start].decode()[-20:])}"
            raise refusals.not_utf8(position.row, where) from error


class StreamGuard:
    """Watches bytes as they arrive and tells when reading on is pointless; only a parser can tell why and where.

    It must never stop a stream that `text_lines` would accept.
    """

    def __init__(self) -> None:
        self._line_bytes = 0
        self._pending = b""
        self._is_first = True

    def accepts(self, chunk: bytes) -> bool:
        """False once the bytes so far cannot be the beginning of an acceptable file."""
        if self._is_first:
            self._is_first = False
            if chunk.startswith((*_UTF16_BOMS, *(magic for magic, _, _ in _MAGIC))):
                return False
        return b"\0" not in chunk and self._lines_are_short(chunk) and self._is_utf8(chunk)

    def _lines_are_short(self, chunk: bytes) -> bool:
        begin = 0
        while (end := chunk.find(b"\n", begin)) >= 0:
            if self._line_bytes + end + 1 - begin > MAX_RECORD_BYTES + len(_UTF8_BOM):
                return False
            self._line_bytes = 0
            # the next line that could be too long: no need to look at each
            begin = max(end + 1, chunk.rfind(b"\n", end + 1, end + MAX_RECORD_BYTES) + 1)
        self._line_bytes += len(chunk) - begin
        return self._line_bytes <= MAX_RECORD_BYTES + len(_UTF8_BOM)

    def _is_utf8(self, chunk: bytes) -> bool:
        data = self._pending + chunk
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            # a character may be cut by the end of the chunk; four bytes are the longest
            if error.reason == "unexpected end of data" and len(data) - error.start < 4:  # noqa: PLR2004
                self._pending = data[error.start :]
                return True
            return False
        self._pending = b""
        return True
