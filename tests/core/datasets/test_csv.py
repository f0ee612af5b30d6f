import contextlib
import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.datasets.formats.csv import read_records
from core.datasets.formats.refusals import MAX_RECORD_BYTES
from core.errors import Invalid

# a lone carriage return inside a cell is written quoted and read back; only NUL and surrogates are no text
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40)
VISIBLE = TEXTS.filter(lambda cell: cell.strip() != "" and "\ufeff" not in cell)
TABLES = st.integers(2, 5).flatmap(
    lambda width: st.lists(st.tuples(VISIBLE, *[TEXTS] * (width - 1)), min_size=1, max_size=20)
)


def rows_of(content: bytes) -> list[list[str]]:
    return [record.cells for record in read_records(io.BytesIO(content))]


def numbers_of(content: bytes) -> list[int]:
    return [record.row for record in read_records(io.BytesIO(content))]


@given(
    table=TABLES,
    delimiter=st.sampled_from(",;\t"),
    line_end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig"]),
)
def test_what_a_spreadsheet_writes_is_read_back(
    table: list[tuple[str]], delimiter: str, line_end: str, encoding: str
) -> None:
    header = [f"c{index}" for index in range(len(table[0]))]
    text = io.StringIO(newline="")
    # Python's own writer forgets to quote a carriage return when lines end without one
    quoting = csv.QUOTE_ALL if line_end == "\n" else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    writer.writerow(header)
    writer.writerows(table)
    content = text.getvalue().encode(encoding)

    assert rows_of(content) == [header, *map(list, table)]
    assert numbers_of(content) == list(range(1, len(table) + 2))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_and_nothing_else(content: bytes) -> None:
    with contextlib.suppress(Invalid):
        rows_of(b"a,b\n" + content)
    with contextlib.suppress(Invalid):
        rows_of(content)


def test_a_cell_with_line_breaks_is_one_row() -> None:
    assert numbers_of(b'a,b\n"1\n2\n3",x\ny,z\n') == [1, 2, 3]


def test_blank_rows_count_as_they_do_in_a_spreadsheet() -> None:
    assert numbers_of(b"a,b\n\n1,2\n , \n3,4\n") == [1, 3, 5]


def test_a_quoted_cell_cannot_swallow_the_file() -> None:
    endless = b'a,b\n"' + b"line\n" * (MAX_RECORD_BYTES // 4)
    with pytest.raises(Invalid) as refused:
        rows_of(endless)
    assert refused.value.error_code == "line_too_long"
    assert refused.value.details["row"] == 2


def test_a_line_of_exactly_the_limit_is_read() -> None:
    cell = b"x" * (MAX_RECORD_BYTES - 3)
    assert rows_of(b"a,b\n" + cell + b",y\n")[1] == [cell.decode(), "y"]
    with pytest.raises(Invalid):
        rows_of(b"a,b\nx" + cell + b",y\n")
