import io
from pathlib import Path

import pytest

from core.datasets import examples
from core.datasets.examples import Table
from core.datasets.formats.registry import format_of, open_file
from core.datasets.inspection import Portion, inspect
from core.datasets.types import ColumnRole, FileFormat, Mapping, Severity
from core.errors import Invalid
from tests.assets.bad_files import BAD_FILES, GOOD_CSV, GOOD_JSONL, BadFile

SAMPLES = Path(__file__).parents[3] / "deploy" / "samples"


@pytest.mark.parametrize("bad", BAD_FILES, ids=str)
def test_a_bad_file_is_refused_with_the_place_the_cause_and_the_fix(bad: BadFile) -> None:
    with pytest.raises(Invalid) as refused:
        inspect(io.BytesIO(bad.content()), format_of(bad.filename))
    error = refused.value
    assert error.error_code == bad.code
    assert (error.details["row"], error.details["column"]) == (bad.row, bad.column)
    assert error.details["cause"].endswith((".", "…"))
    assert error.details["fix"] in error.message


def test_a_good_csv_is_told_apart_into_columns_rows_and_conversations() -> None:
    found = inspect(io.BytesIO(GOOD_CSV), FileFormat.CSV)
    assert [(column.name, column.role_suggestion) for column in found.columns] == [
        ("question", ColumnRole.QUESTION),
        ("answer", ColumnRole.ANSWER),
    ]
    assert found.columns[1].sample_values == ["1", "2", "3"]
    assert (found.num_rows, found.is_complete, found.num_problems) == (12, True, 0)
    assert found.mapping == Mapping(question="question", answer="answer", system=None)
    assert found.sample[0].row == 2
    assert found.sample[0].messages == [
        {"role": "user", "content": "What is 0 plus one?"},
        {"role": "assistant", "content": "1"},
    ]


def test_jsonl_of_named_values_is_a_table_too() -> None:
    found = inspect(io.BytesIO(GOOD_JSONL), FileFormat.JSONL)
    assert [column.name for column in found.columns] == ["question", "answer"]
    assert found.sample[0].row == 1


def test_conversations_need_no_mapping() -> None:
    line = (
        b'{"messages": [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": " Hi "}, '
        b'{"role": "assistant", "content": "Hello", "weight": 1}]}\r\n'
    )
    found = inspect(io.BytesIO(b"\xef\xbb\xbf" + line * 10), FileFormat.JSONL)
    assert found.columns == []
    assert found.mapping is None
    assert [message["role"] for message in found.sample[0].messages] == ["system", "user", "assistant"]
    assert found.sample[0].messages[1]["content"] == "Hi"


def test_a_bad_row_in_a_good_file_is_a_problem_and_not_a_refusal() -> None:
    content = GOOD_CSV + b"What now?,\nWhy, pray tell, is that?,Because.\n\nWho?\n" + b'"multi\r\nline",yes\n'
    found = inspect(io.BytesIO(content), FileFormat.CSV)
    assert [(problem.row, problem.column, problem.code) for problem in found.problems] == [
        (14, "answer", "empty"),
        (15, None, "too_many_cells"),
        (17, "answer", "empty"),
    ]
    assert {problem.severity for problem in found.problems} == {Severity.ERROR}
    assert found.num_rows == 16


def test_a_zero_character_spelled_in_json_is_a_problem() -> None:
    found = inspect(io.BytesIO(GOOD_JSONL + b'{"question": "a\\u0000b", "answer": "c"}\n'), FileFormat.JSONL)
    assert [(problem.row, problem.code) for problem in found.problems] == [(13, "zero_character")]


def test_of_a_large_file_only_a_portion_is_looked_at() -> None:
    portion = Portion(num_records=20, num_bytes=1000)
    found = inspect(io.BytesIO(GOOD_CSV + b"a,b\n" * 100), FileFormat.CSV, portion=portion)
    assert (found.num_rows, found.is_complete) == (20, False)
    found = inspect(io.BytesIO(GOOD_CSV + b"a,b\n" * 8), FileFormat.CSV, portion=portion)
    assert (found.num_rows, found.is_complete) == (20, True)


def test_of_sound_rows_more_is_read_than_of_those_that_are_looked_at() -> None:
    portion = Portion(num_records=600, num_bytes=2**20, skimmed_bytes=2**20)
    sound, odd = b"Why?,Because.\n" * 5000, b"Why?,\n" * 5000
    found = inspect(io.BytesIO(GOOD_CSV + sound), FileFormat.CSV, portion=portion)
    assert (found.num_rows, found.is_complete) == (5012, True)
    found = inspect(io.BytesIO(GOOD_CSV + odd + sound), FileFormat.CSV, portion=portion)
    assert (found.is_complete, found.num_rows < 2000) == (False, True)
    found = inspect(io.BytesIO(GOOD_CSV + sound * 30), FileFormat.CSV, portion=portion)
    assert (found.is_complete, 2**20 // 14 <= found.num_rows < 2**20 // 14 + 1000) == (False, True)


@pytest.mark.parametrize(("name", "num_rows"), [("reviews.csv", 1971), ("dictionary.csv", 1500)])
def test_the_samples_that_we_ship_are_without_fault(name: str, num_rows: int) -> None:
    with (SAMPLES / name).open("rb") as stream:
        found = inspect(stream, FileFormat.CSV)
    assert (found.num_rows, found.num_problems) == (num_rows, 0)
    assert found.mapping == Mapping(question="question", answer="answer", system=None)


@pytest.mark.parametrize(
    ("name", "columns", "speaker"),
    [
        ("tickets.csv", ("ticket_id", "created_at", "author", "body"), "agent"),
        ("tickets.xlsx", ("Ticket", "Date", "Author", "Message"), "Agent"),
    ],
)
def test_the_tickets_that_we_ship_are_proposed_as_conversations(
    name: str, columns: tuple[str, ...], speaker: str
) -> None:
    conversation, time, author, message = columns
    with (SAMPLES / name).open("rb") as stream:
        found = inspect(stream, FileFormat(name.rpartition(".")[2]))
    assert (found.num_rows, found.num_records, found.num_problems) == (45, 133, 0)
    assert found.mapping == Mapping(
        conversation=conversation, time=time, speaker=author, message=message, assistant_speakers=[speaker]
    )
    assert [one["role"] for one in found.sample[0].messages] == ["user", "assistant", "user", "assistant"]


def test_a_zero_character_is_a_problem_of_its_row_and_stands_nowhere_else() -> None:
    line = rb'{"question": "a\u0000b", "answer": "c"}' + b"\n"
    chat = rb'{"messages": [{"role": "user", "content": "a\u0000b"}, {"role": "assistant", "content": ""}]}' + b"\n"
    for content in (GOOD_JSONL + line, line + GOOD_JSONL, chat * 10):
        found = inspect(io.BytesIO(content), FileFormat.JSONL)
        assert {problem.code for problem in found.problems} == {"zero_character"}
        assert "\\x00" not in repr(found)


def test_a_value_of_lists_in_lists_is_shown_somehow() -> None:
    deep = b"[" * 1000 + b"]" * 1000
    found = inspect(io.BytesIO(b'{"question": "a", "answer": "b", "z": %s}\n' % deep * 12), FileFormat.JSONL)
    assert (found.num_rows, found.num_problems) == (12, 0)


def test_of_giant_rows_only_a_few_are_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "_MAX_BYTES_LOOKED_AT", 500)
    table = Table(open_file(io.BytesIO(GOOD_JSONL * 10), FileFormat.JSONL))
    assert len(table.first_rows) == 10
    assert sum(1 for _ in table.examples(None)) == 120


def test_what_takes_too_long_is_enough_as_far_as_it_was_read() -> None:
    content = b"question,answer\n" + b"".join(b"What is %d?,It is.\n" % number for number in range(5000))
    whole = inspect(io.BytesIO(content), FileFormat.CSV, portion=Portion(10_000, 2**20, skimmed_bytes=2**20))
    assert (whole.num_records, whole.is_complete) == (5000, True)
    hurried = inspect(io.BytesIO(content), FileFormat.CSV, portion=Portion(10_000, 2**20, 2**20, max_s=0))
    assert (len(hurried.columns), hurried.is_complete) == (2, False)
    assert hurried.num_records is not None
    assert hurried.num_records < 5000
