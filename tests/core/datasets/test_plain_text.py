"""Plain text: lines of it in JSON, and files of paragraphs."""

import io

import pytest

from core.datasets.formats import plain_text
from core.datasets.formats.plain_text import read_texts
from core.datasets.formats.registry import format_of
from core.datasets.inspection import inspect
from core.datasets.types import FileFormat, RowKind
from core.errors import Invalid

PARAGRAPH = "The quick brown fox jumps over the lazy dog. " * 12
LONG = PARAGRAPH * 2


def read(text: str, *, is_markdown: bool = False) -> list[tuple[int, str]]:
    found = read_texts(io.BytesIO(text.encode()), is_markdown=is_markdown)
    return [(record.row, record.text.strip()) for record in found]


def test_lines_of_text_are_rows_and_what_stands_beside_is_not_learned() -> None:
    line = b'{"text": " Once upon a time\\r\\n", "meta": {"page": 1}, "url": "https://example.org"}\n'
    found = inspect(io.BytesIO(line * 10), FileFormat.JSONL)
    assert (found.kind, found.columns) == (RowKind.TEXT, [])
    assert found.sample[0].dump_content() == {"text": "Once upon a time"}


def test_a_text_with_a_label_is_still_a_table() -> None:
    line = b'{"text": "I like it", "label": "good"}\n'
    found = inspect(io.BytesIO(line * 10), FileFormat.JSONL)
    assert (found.kind, [column.name for column in found.columns]) == (RowKind.CHAT, ["text", "label"])


@pytest.mark.parametrize(
    ("line", "code", "column"), [(b'{"text": 7}\n', "text_malformed", "text"), (b"{}\n", "text_malformed", "text")]
)
def test_a_line_without_a_text_is_refused(line: bytes, code: str, column: str) -> None:
    with pytest.raises(Invalid) as refused:
        inspect(io.BytesIO(b'{"text": "a"}\n' * 10 + line), FileFormat.JSONL)
    assert (refused.value.error_code, refused.value.details["column"]) == (code, column)


def test_an_empty_text_is_a_problem_of_its_row() -> None:
    found = inspect(io.BytesIO(b'{"text": "a"}\n' * 10 + b'{"text": "  "}\n'), FileFormat.JSONL)
    assert [(problem.row, problem.column, problem.code) for problem in found.problems] == [(11, "text", "empty")]


def test_paragraphs_stay_whole_and_short_ones_go_together() -> None:
    text = f"\n\nTitle\n\n{PARAGRAPH}\n\n{PARAGRAPH}\n\n\n{LONG}\n\nThe end.\n"
    assert read(text) == [
        (3, f"Title\n\n{PARAGRAPH}\n\n{PARAGRAPH}".strip()),
        (10, LONG.strip()),
        (12, "The end."),
    ]


def test_nothing_of_a_text_is_lost_or_changed() -> None:
    text = "".join(f"Line {number} of many, without a blank one.\n" for number in range(1000))
    found = [record.text for record in read_texts(io.BytesIO(text.encode()), is_markdown=False)]
    assert "".join(found) == text
    assert max(map(len, found)) < plain_text._LONG_CHARS + 100


def test_a_heading_begins_a_row_unless_only_headings_came_before() -> None:
    section = PARAGRAPH[:300]
    text = f"# Book\n\n## One\n\n{section}\n\n## Two\n\n```\n# no heading\n{section}\n# none\n```\n"
    assert [row for row, _ in read(text, is_markdown=True)] == [1, 7]
    assert [row for row, _ in read(text)] == [1]


@pytest.mark.parametrize(
    ("name", "file_format"),
    [("a.txt", FileFormat.TXT), ("A.MD", FileFormat.MARKDOWN), ("b.markdown", FileFormat.MARKDOWN)],
)
def test_files_of_text_are_read_by_their_ending(name: str, file_format: FileFormat) -> None:
    assert format_of(name) is file_format
    content = (LONG + "\n\n").encode() * 9
    with pytest.raises(Invalid) as refused:
        inspect(io.BytesIO(content), file_format)
    assert (refused.value.error_code, "paragraph" in refused.value.message) == ("too_few_rows", True)
    found = inspect(io.BytesIO(b"\xef\xbb\xbf" + content + b"And one.\n"), file_format)
    assert (found.kind, found.num_rows) == (RowKind.TEXT, 10)


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"\n\n", "file_empty"), ("é".encode() + b"caf\xe9\n", "file_not_utf8"), (b"%PDF-1.7", "file_not_text")],
)
def test_what_is_no_text_is_refused(content: bytes, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        inspect(io.BytesIO(content), FileFormat.TXT)
    assert refused.value.error_code == code
