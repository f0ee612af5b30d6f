"""Files that must be refused, each with the code and the place that the refusal must name."""

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MIB = 1024 * 1024
TWELVE = b"".join(b"What is %d plus one?,%d\n" % (number, number + 1) for number in range(12))
GOOD_CSV = b"question,answer\n" + TWELVE
GOOD_JSONL = b"".join(b'{"question": "What is %d?", "answer": "A number."}\n' % number for number in range(12))
_CHAT = b'{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}\n'


@dataclass(frozen=True)
class BadFile:
    name: str
    filename: str
    content: Callable[[], bytes]
    code: str
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        return self.name


def workbook() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return stream.getvalue()


def chunks(content: bytes, size: int = 64 * 1024) -> Iterator[bytes]:
    for begin in range(0, len(content), size):
        yield content[begin : begin + size]


def _bad(
    name: str, filename: str, content: bytes, code: str, row: int | None = None, column: str | None = None
) -> BadFile:
    return BadFile(name, filename, lambda: content, code, row, column)


BAD_FILES = [
    _bad("a kind that is not read", "tickets.pptx", GOOD_CSV, "unsupported_type"),
    _bad("a name without an ending", "tickets", GOOD_CSV, "unsupported_type"),
    _bad("an empty file", "tickets.csv", b"", "file_empty"),
    _bad("nothing but blank lines", "tickets.csv", b"\n\n , \n", "file_empty"),
    _bad("an empty jsonl", "tickets.jsonl", b"\n", "file_empty"),
    _bad("no header", "tickets.csv", TWELVE, "header_missing", 1),
    _bad("one column", "tickets.csv", b"question\n" + b"Why?\n" * 12, "too_few_columns", 1, "question"),
    _bad("one value a line", "tickets.jsonl", b'{"words": "Why?"}\n' * 12, "too_few_columns", 1),
    _bad("nine rows", "tickets.csv", b"".join(GOOD_CSV.splitlines(keepends=True)[:10]), "too_few_rows"),
    _bad("nine lines", "tickets.jsonl", _CHAT * 9, "too_few_rows"),
    BadFile("a line of 200 MB", "tickets.csv", lambda: GOOD_CSV + b"x" * (200 * MIB), "line_too_long", 14),
    BadFile("a jsonl line of 2 MB", "t.jsonl", lambda: GOOD_JSONL + b'"' + b"x" * 2 * MIB, "line_too_long", 13),
    _bad("broken UTF-8", "tickets.csv", GOOD_CSV + "café,".encode() + b"caf\xe9\n", "file_not_utf8", 14),
    _bad(
        "broken UTF-8 behind a quoted line break",
        "t.csv",
        GOOD_CSV + b'"a\nb",c\n\xc3\xa9\xff,d\n',
        "file_not_utf8",
        15,
    ),
    _bad("UTF-16 cut within a letter", "t.csv", GOOD_CSV.decode().encode("utf-16")[:-1], "file_not_utf8", 13),
    _bad(
        "two columns of one name",
        "tickets.csv",
        b"Question,answer,question\n" + b"a,b,c\n" * 12,
        "header_duplicate",
        1,
        "question",
    ),
    BadFile("a workbook renamed", "tickets.csv", workbook, "file_not_text", 1),
    _bad("zero bytes in it", "tickets.csv", GOOD_CSV + b"a\0b,c\n", "file_not_text", 14),
    _bad("a quotation mark never closed", "tickets.csv", GOOD_CSV + b'"a,b\nc,d\n', "quote_not_closed", 14),
    _bad("lines that end in carriage returns", "t.csv", GOOD_CSV.replace(b"\n", b"\r"), "csv_malformed", 1),
    _bad("a stray quotation mark", "tickets.csv", GOOD_CSV + b'"a"b,c\n', "csv_malformed", 14),
    _bad("a line that is a list", "tickets.jsonl", GOOD_JSONL + b'["a", "b"]\n', "jsonl_not_object", 13),
    _bad("a line that is not JSON", "tickets.jsonl", GOOD_JSONL + b"{question: a}\n", "jsonl_malformed", 13),
    _bad("ten thousand nested lists", "t.jsonl", GOOD_JSONL + b'{"a":' + b"[" * 10_000 + b"\n", "jsonl_malformed", 13),
    _bad(
        "messages that are no list",
        "t.jsonl",
        _CHAT * 11 + b'{"messages": "Hi"}\n',
        "messages_malformed",
        12,
        "messages",
    ),
    _bad(
        "a message without a role",
        "t.jsonl",
        b'{"messages": [{"content": "Hi"}]}\n' * 12,
        "messages_malformed",
        1,
        "messages[0].role",
    ),
    _bad(
        "the user has the last word",
        "t.jsonl",
        b'{"messages": [{"role": "user", "content": "Hi"}]}\n' * 12,
        "messages_malformed",
        1,
        "messages[0].role",
    ),
    _bad(
        "content that is no text",
        "t.jsonl",
        _CHAT * 10 + b'{"messages": [{"role": "user", "content": ["Hi"]}]}\n',
        "messages_malformed",
        11,
        "messages[0].content",
    ),
    _bad(
        "a role that is a list",
        "t.jsonl",
        b'{"messages": [{"role": ["user"], "content": "Hi"}]}\n' * 12,
        "messages_malformed",
        1,
        "messages[0].role",
    ),
    _bad(
        "more values than columns are read",
        "t.jsonl",
        b"{" + b", ".join(b'"c%d": 1' % number for number in range(201)) + b"}\n" + GOOD_JSONL,
        "too_many_columns",
        1,
    ),
    _bad(
        "a name as long as a page",
        "t.csv",
        b"question " + b"x" * 1000 + b",answer\n" + TWELVE,
        "column_name_unfit",
        1,
    ),
    _bad("a zero character in a name", "t.jsonl", b'{"q\\u0000": "a", "answer": "b"}\n' * 12, "column_name_unfit", 1),
    _bad(
        "messages on some lines only",
        "t.jsonl",
        _CHAT * 10 + b'{"question": "Hi"}\n',
        "messages_malformed",
        11,
        "messages",
    ),
]
