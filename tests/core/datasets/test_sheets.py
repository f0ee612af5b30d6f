"""A workbook has sheets: one is proposed, any that shows can be chosen, and what is wrong is told of the right one."""

import io
import time

import pytest

from core.datasets.formats.registry import told_apart
from core.datasets.inspection import inspect
from core.datasets.types import Inspection, Mapping, RowKind
from core.errors import Invalid
from tests.factories.workbooks import BOOK, MAILS, NOTES, TICKETS, Row, xlsx


def look(content: bytes, mapping: Mapping | None = None, filename: str = "book.xlsx") -> Inspection:
    return inspect(*told_apart(io.BytesIO(content), filename), mapping=mapping)


def refused(content: bytes, mapping: Mapping | None = None, filename: str = "book.xlsx") -> Invalid:
    with pytest.raises(Invalid) as caught:
        look(content, mapping, filename)
    return caught.value


def test_the_first_sheet_that_can_hold_examples_is_proposed_and_the_owner_is_told() -> None:
    found = look(xlsx(BOOK))
    assert (found.sheets, found.sheet) == (list(BOOK), "Tickets")
    assert found.mapping == Mapping(sheet="Tickets", question="question", answer="answer")
    assert [notice.code for notice in found.notices] == ["sheet_chosen"]
    assert '"Tickets" is read' in found.notices[0].text
    assert "Before it, 1 had no table of examples." in found.notices[0].text


@pytest.mark.parametrize(
    ("sheet", "columns", "num_rows", "kind"),
    [
        ("Tickets", ["question", "answer"], 12, RowKind.CHAT),
        ("Mails", ["asked", "told", "by"], 15, RowKind.CHAT),
        ("Better", [], 11, RowKind.PREFERENCE),
    ],
)
def test_a_sheet_that_is_named_is_read_with_its_own_columns(
    sheet: str, columns: list[str], num_rows: int, kind: RowKind
) -> None:
    found = look(xlsx(BOOK), Mapping(sheet=sheet))
    assert [column.name for column in found.columns] == columns
    assert (found.sheet, found.num_rows, found.kind, found.notices) == (sheet, num_rows, kind, [])


def test_a_mapping_says_the_sheet_and_its_columns() -> None:
    found = look(xlsx(BOOK), Mapping(sheet="Mails", question="told", answer="asked"))
    assert [message["content"] for message in found.sample[0].messages] == ["Mail 0", "Is it 0?"]
    assert found.mapping == Mapping(sheet="Mails", question="told", answer="asked")
    error = refused(xlsx(BOOK), Mapping(sheet="Mails", question="question", answer="told"))
    assert (error.error_code, error.param) == ("mapping_column_unknown", "mapping.question")


def test_what_is_wrong_with_a_sheet_names_it() -> None:
    error = refused(xlsx(BOOK), Mapping(sheet="Read me"))
    assert error.error_code == "too_few_columns"
    assert error.details["cause"].startswith('On the sheet "Read me": There is one column')
    assert refused(xlsx({"Read me": NOTES})).details["cause"].startswith("There is one column")


def test_a_sheet_that_is_not_there_does_not_show_or_is_empty_is_refused_with_those_that_can_be_chosen() -> None:
    book = xlsx(BOOK, hidden=["Mails"])
    unknown = refused(book, Mapping(sheet="Tickts"))
    assert (unknown.error_code, unknown.param) == ("sheet_unknown", "mapping.sheet")
    assert unknown.details["sheets"] == ["Read me", "Tickets", "Better", "Empty"]
    assert '"Tickts" is not there. Choose one of: "Read me", "Tickets"' in unknown.message
    hidden = refused(book, Mapping(sheet="Mails"))
    assert (hidden.error_code, hidden.details["sheets"]) == ("sheet_unknown", unknown.details["sheets"])
    assert "is hidden" in hidden.message
    empty = refused(book, Mapping(sheet="Empty"))
    assert (empty.error_code, empty.param, empty.details["sheets"]) == (
        "sheet_empty",
        "mapping.sheet",
        ["Read me", "Tickets", "Better"],
    )


def test_a_table_with_a_fault_is_not_passed_over_for_another() -> None:
    twice: list[Row] = [["question", "question"], *TICKETS[1:]]
    error = refused(xlsx({"Read me": NOTES, "Tickets": twice, "Mails": MAILS}))
    assert error.error_code == "header_duplicate"
    assert 'On the sheet "Tickets"' in error.message


def test_a_title_above_a_table_is_a_fault_of_that_table() -> None:
    error = refused(xlsx({"Tickets": [["Our tickets", None], *TICKETS], "Mails": MAILS}))
    assert (error.error_code, error.details["row"]) == ("header_missing", 1)
    assert 'The first row is one cell, "Our tickets"' in error.message


def test_where_no_sheet_has_examples_the_first_is_told() -> None:
    error = refused(xlsx({"One": NOTES, "Two": TICKETS[:5], "Three": []}))
    assert (error.error_code, 'On the sheet "One"' in error.message) == ("too_few_columns", True)
    assert refused(xlsx({"One": [], "Two": []})).error_code == "file_empty"


@pytest.mark.parametrize("name", ["Täglich 🐦", "It's", "a & <b>", "x" * 200, "第一", " blanks "])
def test_a_sheet_may_be_called_anything(name: str) -> None:
    found = look(xlsx({"First": TICKETS, name: MAILS}), Mapping(sheet=name))
    assert (found.sheet, found.num_rows) == (name, 15)
    assert found.mapping == Mapping(sheet=name, question="asked", answer="told")


def test_thousands_of_sheets_cost_little_and_the_first_thousand_are_listed() -> None:
    book = xlsx({f"Day {number}": TICKETS if number in {0, 4_000} else [] for number in range(5_000)})
    began = time.process_time()
    found = look(book)
    assert (len(found.sheets), found.sheets[-1], found.sheet) == (1000, "Day 999", "Day 0")
    assert look(book, Mapping(sheet="Day 4000")).num_rows == 12
    error = refused(book, Mapping(sheet="Day 5000"))
    assert (len(error.details["sheets"]), "4,900 more" in error.message) == (100, True)
    assert time.process_time() - began < 5
    assert len(found.model_dump_json()) < 50_000
    too_many = refused(xlsx({f"Day {number}": [] for number in range(10_000)}))
    assert too_many.error_code == "archive_unfit"


def test_one_sheet_is_no_choice() -> None:
    found = look(xlsx({"Only": TICKETS}))
    assert (found.sheets, found.sheet, found.chosen_sheet, found.notices) == (["Only"], "Only", None, [])
    assert found.mapping == Mapping(question="question", answer="answer")
    assert look(xlsx({"Only": TICKETS}), Mapping(sheet="Only")).num_rows == 12


def test_a_file_without_sheets_has_none_to_choose() -> None:
    error = refused(b"question,answer\n" + b"a,b\n" * 12, Mapping(sheet="Tickets"), "tickets.csv")
    assert (error.error_code, error.param) == ("sheet_not_needed", "mapping.sheet")
