"""Bytes to lines of text under strict limits. Memory stays below a few MiB whatever the file holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from core.datasets.formats import refusals
from core.datasets.formats.refusals import MAX_RECORD_BYTES

_UTF8_BOM = b"\xef\xbb\xbf"
_SHEET = "Let its name end as it did, in .xlsx, .xls, .ods or .zip."
_EXPORT = "Export the data as CSV (UTF-8) or JSONL and upload that."
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "an Excel workbook or a ZIP archive", _SHEET),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", _SHEET),
    (b"%PDF-", "a PDF", "Let its name end in .pdf."),
    (b"\x1f\x8b", "a gzip archive", "Unpack it and upload the file inside."),
    (b"\x89PNG", "a picture", _EXPORT),
    (b"\xff\xd8\xff", "a picture", _EXPORT),
    (b"PAR1", "a Parquet file", "Let its name end in .parquet."),
    (b"SQLite format 3", "a database", _EXPORT),
    (b"\x7fELF", "a program", _EXPORT),
    (b"{\\rtf", "a Rich Text document", _EXPORT),
)
UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"PK\x05\x06")


# so many bytes of valid letters beyond ASCII are no chance: the text is UTF-8, and what is none in it is a fault
SURELY_UTF8_BYTES = 300
_BEYOND_ASCII = bytes(range(128, 256))


def num_bytes_beyond_ascii(data: bytes) -> int:
    return 0 if data.isascii() else len(data) - len(data.translate(None, _BEYOND_ASCII))


def refuse_binary(head: bytes) -> None:
    """Raise if a file that begins with `head` is of a known binary kind."""
    for magic, kind, fix in _MAGIC:
        if head.startswith(magic):
            raise refusals.binary(kind, fix)


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
        yield decoded(line, position.row)


def decoded(line: bytes, row: int) -> str:
    """Raises Invalid for a line that is too long or no text."""
    if len(line) > MAX_RECORD_BYTES:
        raise refusals.line_too_long(row)
    if b"\0" in line:
        raise refusals.not_text(row)
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        where = f"byte 0x{line[error.start]:02x} after {refusals.quoted(line[: error.start].decode()[-20:])}"
        raise refusals.not_utf8(row, where) from error


class StreamGuard:
    """Watches the bytes of a text as they arrive and tells when reading on is pointless; only a parser can tell why.

    It must never stop a stream that the parser would accept: what is packed, or UTF-16, it lets pass.
    """

    def __init__(self) -> None:
        self._line_bytes = 0
        self._pending = b""
        self._is_first = True
        self._is_opaque = False
        self._num_letter_bytes = 0
        self._is_utf8 = True

    def accepts(self, chunk: bytes) -> bool:
        """False once the bytes so far cannot be the beginning of an acceptable file."""
        if self._is_first:
            self._is_first = False
            self._is_opaque = chunk.startswith((*UTF16_BOMS, *PACKED))
            if not self._is_opaque and chunk.startswith(tuple(magic for magic, _, _ in _MAGIC)):
                return False
        return self._is_opaque or (
            b"\0" not in chunk and self._lines_are_short(chunk) and self._is_of_one_encoding(chunk)
        )

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

    def _is_of_one_encoding(self, chunk: bytes) -> bool:
        """False for a fault in a text that surely was UTF-8 before; what may be in another encoding is read in that."""
        if not self._is_utf8:
            return True
        data = self._pending + chunk
        self._pending = b""
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            self._num_letter_bytes += num_bytes_beyond_ascii(data[: error.start])
            # a character may be cut by the end of the chunk; four bytes are the longest
            if error.reason == "unexpected end of data" and len(data) - error.start < 4:  # noqa: PLR2004
                self._pending = data[error.start :]
                return True
            self._is_utf8 = False
            return self._num_letter_bytes < SURELY_UTF8_BYTES
        self._num_letter_bytes += num_bytes_beyond_ascii(data)
        return True
