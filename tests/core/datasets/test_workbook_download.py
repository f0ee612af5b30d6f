"""Rows as a workbook, read again by another library."""

import io
import zipfile

import pytest
from python_calamine import CalamineWorkbook

from core.datasets.versions.workbook import MAX_CELL_CHARS, written

HARMFUL = ["=cmd|' /C calc'!A0", "+1+1", "-2", "@SUM(A1)", "\t=1", "https://example.com/?a=1", "0049", "{=1+1}", ""]


def read(content: bytes) -> list[list[object]]:
    return CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()


def test_every_cell_is_a_text_and_comes_back_as_it_was() -> None:
    content = b"".join(written(["text", "next"], [[cell, "x"] for cell in HARMFUL]))
    assert read(content) == [["text", "next"], *([cell, "x"] for cell in HARMFUL)]
    parts = zipfile.ZipFile(io.BytesIO(content))
    sheet = parts.read("xl/worksheets/sheet1.xml")
    assert b"<f>" not in sheet
    assert b"hyperlink" not in sheet
    assert not any("rels" in name and b"http://example" in parts.read(name) for name in parts.namelist())


@pytest.mark.parametrize("num_chars", [MAX_CELL_CHARS, MAX_CELL_CHARS + 1])
def test_what_no_cell_holds_is_cut_and_says_so(num_chars: int) -> None:
    (_, (cell,)) = read(b"".join(written(["text"], [["a" * num_chars]])))
    assert len(str(cell)) == MAX_CELL_CHARS
    assert ("cut here" in str(cell)) == (num_chars > MAX_CELL_CHARS)


def test_a_thousand_rows_come_in_order() -> None:
    rows = read(b"".join(written(["number"], ([str(number)] for number in range(1000)))))
    assert [row[0] for row in rows[1:]] == [str(number) for number in range(1000)]
