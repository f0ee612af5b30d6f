"""Every format to the same rows, with the numbers that the file itself has for them."""

import gzip
import io
import json
import zipfile
from typing import Any

import docx
import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from core.datasets.formats.registry import FORMATS, format_of, told_apart
from core.datasets.inspection import inspect
from core.datasets.types import FileFormat, Inspection, RowKind
from core.errors import Invalid
from tests.assets.bad_files import GOOD_CSV, GOOD_JSONL
from tests.factories.documents import pdf
from tests.factories.workbooks import ods, xlsx, zipped

HEADER = ["question", "answer"]
ROWS = [[f"What is {number} plus one?", number + 1] for number in range(12)]
OBJECTS = [{"question": f"What is {number}?", "answer": "A number."} for number in range(12)]


def look(content: bytes, filename: str) -> Inspection:
    return inspect(*told_apart(io.BytesIO(content), filename))


def refused(content: bytes, filename: str) -> Invalid:
    with pytest.raises(Invalid) as caught:
        look(content, filename)
    return caught.value


def in_parquet(**columns: list[Any]) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pa.table(columns), stream)
    return stream.getvalue()


def test_every_format_has_its_endings() -> None:
    endings = [ending for known in FORMATS.values() for ending in known.endings]
    assert set(FORMATS) == set(FileFormat)
    assert len(endings) == len(set(endings))
    assert format_of("Tickets.2026.XLSX") is FileFormat.XLSX
    assert format_of("tickets.csv.gz") is FileFormat.CSV


@pytest.mark.parametrize("filename", ["tickets.xlsx", "tickets.ods"])
def test_a_workbook_is_a_table_whose_rows_have_the_sheets_numbers(filename: str) -> None:
    rows = [HEADER, *ROWS[:5], [None, None], ["Why?", None], *ROWS[5:]]
    found = look(xlsx({"Tickets": rows}) if filename.endswith("xlsx") else ods(rows), filename)
    assert [column.name for column in found.columns] == HEADER
    assert found.columns[1].sample_values == ["1", "2", "3"]
    assert (found.num_rows, found.sample[0].row) == (13, 2)
    assert [(problem.row, problem.code) for problem in found.problems] == [(8, "empty")]


def test_a_table_may_stand_anywhere_on_the_sheet() -> None:
    rows = [[None], [None], *([None, None, *row] for row in [HEADER, *ROWS])]
    found = look(xlsx({"Tickets": rows}), "tickets.xlsx")
    assert [column.name for column in found.columns] == HEADER
    assert found.sample[0].row == 4


def test_the_first_sheet_that_shows_something_is_read_and_the_owner_is_told() -> None:
    secret = [HEADER, *([f"Secret {number}", 1] for number in range(12))]
    found = look(xlsx({"Hidden": secret, "Empty": [], "Tickets": [HEADER, *ROWS]}, hidden=["Hidden"]), "t.xlsx")
    assert found.sample[0].messages[0]["content"] == "What is 0 plus one?"
    assert [notice.code for notice in found.notices] == ["sheet_chosen"]
    assert '"Tickets"' in found.notices[0].text


@pytest.mark.parametrize(
    ("encoding", "called", "text"),
    [
        ("cp1252", "Windows-1252", "Wo grüßt man? \u2013 \u2018Hier\u2019."),
        ("cp1251", "Windows-1251", "Где можно оставить машину на ночь?"),
        ("cp1250", "Windows-1250", "Gdzie są żółte miejsca? Za domem, proszę iść prosto."),
        ("shift_jis", "Shift JIS", "駐車場はどこですか。家の裏にあります。"),
        ("gb18030", "GB 18030", "停车场在哪里。在房子后面有六个位置。"),
        ("utf-16", "UTF-16", "Wo grüßt man?"),
        ("utf-32", "UTF-32", "Wo grüßt man?"),
    ],
)
def test_another_encoding_is_found_and_told(encoding: str, called: str, text: str) -> None:
    content = "question;answer\n" + "Is it open?;Yes.\n" * 100 + f"{text};Yes.\n"
    found = look(content.encode(encoding), "tickets.csv")
    assert (found.num_rows, found.num_problems) == (101, 0)
    assert [notice.code for notice in found.notices] == ["encoding_converted"]
    assert called in found.notices[0].text
    only = look(("question;answer\n" + f"{text};Yes.\n" * 10).encode(encoding), "tickets.csv")
    assert only.sample[0].messages[0]["content"] == text


def test_utf8_is_told_nothing_about() -> None:
    assert look(b"question,answer\n" + "Wo grüßt man?,Überall\n".encode() * 10, "t.csv").notices == []


@pytest.mark.parametrize(
    ("filename", "content"),
    [
        ("t.tsv", GOOD_CSV.replace(b",", b"\t")),
        ("t.csv", GOOD_CSV.replace(b",", b"|")),
        ("t.csv", b"sep=;\n" + GOOD_CSV.replace(b",", b";")),
        ("t.csv.gz", gzip.compress(GOOD_CSV)),
        ("t.csv", gzip.compress(GOOD_CSV)),
        ("t.csv.zst", zstandard.compress(GOOD_CSV)),
        ("t.zip", zipped({"a/tickets.csv": GOOD_CSV, "__MACOSX/._tickets.csv": b"x", "a/readme.doc": b"x"})),
        ("t.csv.zip", zipped({"tickets.csv": GOOD_CSV})),
        ("t.zip", zipped({"tickets.xlsx": xlsx({"Tickets": [HEADER, *ROWS]})})),
        ("t.parquet", in_parquet(question=[row[0] for row in ROWS], answer=[row[1] for row in ROWS])),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_same_rows_in_another_wrapping(filename: str, content: bytes) -> None:
    found = look(content, filename)
    assert (found.num_rows, found.num_problems) == (12, 0)
    assert found.sample[0].messages == [
        {"role": "user", "content": "What is 0 plus one?"},
        {"role": "assistant", "content": "1"},
    ]


@pytest.mark.parametrize(
    "document",
    [
        OBJECTS,
        {"version": 1, "tags": ["a", 2], "deep": {"x": [{"y": 1}]}, "examples": OBJECTS, "more": []},
    ],
)
@pytest.mark.parametrize("indent", [None, 4])
def test_a_json_document_with_one_list_of_objects(document: object, indent: int | None) -> None:
    found = look(b"\xef\xbb\xbf" + json.dumps(document, indent=indent).encode(), "t.json")
    assert (found.format, found.num_rows, found.sample[0].row) == (FileFormat.JSON, 12, 1)


def test_a_long_json_document_is_read_as_it_comes() -> None:
    long = [{"question": f"{number} " + "é" * 1000, "answer": f"{number}"} for number in range(2000)]
    found = look(json.dumps(long, ensure_ascii=False, indent=1).encode(), "t.json")
    assert (found.num_rows, found.sample[4].messages[1]["content"]) == (2000, "4")


def test_json_lines_may_be_called_json() -> None:
    assert look(GOOD_JSONL, "t.json").num_rows == 12


def test_the_last_of_two_values_of_one_name_counts() -> None:
    line = b'{"question": "first", "question": "last", "answer": "b"}'
    for content, filename in ((line + b"\n", "t.jsonl"), (line + b",", "t.json")):
        whole = content * 10 if filename == "t.jsonl" else b"[" + content * 9 + line + b"]"
        assert look(whole, filename).sample[0].messages[0]["content"] == "last"


@pytest.mark.parametrize(
    ("content", "code", "row"),
    [
        (b'[{"a": 1, "b": 2},\n{"a": 1,, "b": 2}]', "json_malformed", 2),
        (b'[{"a": 1, "b": 2}', "json_malformed", 1),
        (b'[{"a": 1, "b": 2},]', "json_malformed", 1),
        (b'[{"a": 1, "b": 2}] []', "json_malformed", 1),
        (b'[{"a": 1, "b": 2}, 7]', "json_unfit", 2),
        (b'{"a": {"b": 1}}', "json_unfit", None),
        (b'{"a": [{"b": 1, "c": 2}], "d": [{"b": 1, "c": 2}]}', "json_unfit", None),
        (b'[{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]", "json_malformed", 1),
        (b"[" * 3_000_000, "json_malformed", 1),
        (b'[{"a": "' + b"x" * 2_000_000 + b'"}]', "line_too_long", 1),
        (b'[{"a": "\xc3\xa9\xff"}]', "file_not_utf8", 1),
        (b'[{"a": "\0"}]', "file_not_text", 1),
        (b"", "file_empty", None),
        (b"7", "json_malformed", 1),
    ],
)
def test_what_is_no_such_document_is_refused(content: bytes, code: str, row: int | None) -> None:
    error = refused(content, "t.json")
    assert error.error_code == code
    if row is not None:
        assert error.details["row"] == row


def test_parquet_keeps_conversations_and_dates_and_leaves_out_what_is_no_text() -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    found = look(in_parquet(messages=[messages] * 12), "t.parquet")
    assert (found.kind, found.sample[0].messages, found.sample[0].row) == (RowKind.CHAT, messages, 1)
    picture = look(in_parquet(question=["a"] * 12, answer=[b"b"] * 12, image=[b"\x89\xff"] * 12), "t.parquet")
    assert [column.sample_values for column in picture.columns] == [["a"], ["b"], []]


def test_documents_are_plain_text() -> None:
    pages = [f"Page {number}. Whoever works on a holiday chooses another day." for number in range(1, 12)]
    found = look(pdf([*pages[:3], "", *pages[3:]]), "handbook.pdf")
    assert (found.kind, found.num_rows) == (RowKind.TEXT, 11)
    assert [sample.row for sample in found.sample] == [1, 2, 3, 5, 6]
    document = docx.Document()
    document.add_heading("Holidays", 1)
    for number in range(40):
        document.add_paragraph(f"Rule {number}. " + "Whoever works on a holiday chooses another day. " * 20)
    stream = io.BytesIO()
    document.save(stream)
    found = look(stream.getvalue(), "handbook.docx")
    assert (found.kind, found.sample[0].row) == (RowKind.TEXT, 1)
    assert (found.sample[0].text or "").startswith("# Holidays\nRule 0.")


@pytest.mark.parametrize(
    ("content", "filename", "code"),
    [
        (zipped({"a.csv": GOOD_CSV, "b.csv": GOOD_CSV}), "t.zip", "archive_unfit"),
        (zipped({"a.doc": b"x"}), "t.zip", "archive_unfit"),
        (zipped({"../a.csv": GOOD_CSV}), "t.zip", "archive_unfit"),
        (zipped({"/etc/a.csv": GOOD_CSV}), "t.zip", "archive_unfit"),
        (zipped({"a.zip": zipped({"a.csv": GOOD_CSV})}), "t.zip", "archive_unfit"),
        (gzip.compress(gzip.compress(gzip.compress(GOOD_CSV))), "t.csv.gz", "archive_nested"),
        (gzip.compress(GOOD_CSV)[:-20], "t.csv.gz", "archive_broken"),
        (zstandard.compress(GOOD_CSV)[:-5], "t.csv.zst", "archive_broken"),
        (b"PK\x03\x04" + b"x" * 100, "t.zip", "archive_broken"),
        (b"PAR1" + b"x" * 100 + b"PAR1", "t.parquet", "parquet_broken"),
        (zipped({"[Content_Types].xml": "<x"}), "t.xlsx", "workbook_broken"),
        (b"\xd0\xcf\x11\xe0" + b"x" * 600, "t.xls", "workbook_broken"),
        (xlsx({"Tickets": []}), "t.xlsx", "file_empty"),
        (zipped({"[Content_Types].xml": "<x"}), "t.docx", "docx_broken"),
        (b"%PDF-1.7\n" + b"x" * 100, "t.pdf", "pdf_broken"),
        (pdf([""] * 12), "t.pdf", "pdf_without_text"),
        (pdf(["A page."] * 12), "t.csv", "file_not_text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # an archive holds the time when it was made
)
def test_what_is_damaged_or_unfit_is_refused_by_name(content: bytes, filename: str, code: str) -> None:
    error = refused(content, filename)
    assert error.error_code == code
    assert error.details["fix"]


def test_a_link_in_an_archive_is_refused() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        info = zipfile.ZipInfo("a.csv")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert refused(stream.getvalue(), "t.zip").error_code == "archive_unfit"
