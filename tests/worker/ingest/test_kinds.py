"""Preferences, tools and plain text through the whole ingest."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from core.datasets.types import FileFormat, Mapping, RowKind, Split
from core.jobs.exit_codes import ExitCode
from tests.factories.ingest import IngestFolder
from tests.factories.tokenizer import put_tokenizer
from tests.factories.workbooks import BOOK, xlsx
from worker.training.data.chat_format import ChatFormat


@pytest.fixture
def folder(tmp_path: Path) -> IngestFolder:
    return IngestFolder(tmp_path)


@pytest.fixture
def tokenizer(tmp_path: Path) -> str:
    put_tokenizer(tmp_path / "model")
    return str(tmp_path / "model")


def lines(*values: dict[str, Any]) -> bytes:
    return b"".join(orjson.dumps(value) + b"\n" for value in values)


def preference(number: int, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {"prompt": f"What is {number}?", "chosen": f"It is {number}.", "rejected": "I do not know."} | changes


def found_in(folder: IngestFolder) -> dict[str, int]:
    return {finding.code: finding.count for finding in folder.report.health.findings}


def ingest(folder: IngestFolder, content: bytes, **changes: object) -> None:
    found = folder.ingest(content, **({"format": FileFormat.JSONL, "mapping": None} | changes))
    assert found is ExitCode.DONE, folder.events


def test_preferences_are_split_counted_and_told_apart(folder: IngestFolder, tokenizer: str) -> None:
    swapped = preference(1, chosen="I do not know.", rejected="It is 1.")
    alike = preference(2, rejected="It is 2.")
    card = preference(3, rejected="Mine is 4111 1111 1111 1111.")
    rows = [*(preference(number) for number in range(12)), preference(0), swapped, alike, card]
    ingest(folder, lines(*rows), tokenizer_dir=tokenizer)
    report = folder.report
    assert (report.kind, report.num_rows, report.num_problems) == (RowKind.PREFERENCE, 15, 5)
    assert [(row.number, problem.code) for row in folder.rows for problem in row.problems] == [
        (2, "contradiction"),
        (13, "duplicate"),
        (14, "contradiction"),
        (15, "answers_alike"),
        (16, "card_number"),
    ]
    assert folder.rows[14].split is Split.LEFT_OUT
    assert found_in(folder) == {"answers_alike": 1, "duplicate": 1, "contradiction": 2, "card_number": 1}


def test_the_tokens_of_a_preference_are_those_of_both_conversations(folder: IngestFolder, tokenizer: str) -> None:
    ingest(folder, lines(*(preference(number) for number in range(12))), tokenizer_dir=tokenizer, max_row_tokens=50)
    row, chat_format = folder.rows[0], ChatFormat.load(Path(tokenizer))
    lengths = [
        len(chat_format.tokenize([*row.messages, *answer]).token_ids) for answer in (row.chosen, row.rejected) if answer
    ]
    assert row.num_tokens == sum(lengths)
    assert folder.report.max_row_tokens == max(lengths) + 1  # 10 and 11 have a digit more
    assert folder.report.num_tokens == sum(row.num_tokens or 0 for row in folder.rows)
    assert max(lengths) < 50
    assert "too_long" not in found_in(folder)


def test_a_conversation_with_tools_is_kept_and_counted_whatever_the_template_can_say(
    folder: IngestFolder, tokenizer: str
) -> None:
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {}}}
    call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"number": 7}'}}
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Where is {number}?"},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": "On shelf 3."},
                {"role": "assistant", "content": "On shelf 3.", "weight": 0.5},
            ],
            "tools": [tool],
        }
        for number in range(12)
    ]
    ingest(folder, lines(*rows), tokenizer_dir=tokenizer)
    assert folder.report.kind is RowKind.CHAT
    assert folder.rows[3].dump_content() == rows[3]
    assert all((row.num_tokens or 0) > 30 for row in folder.rows)


def test_plain_text_is_split_and_counted_and_a_long_one_is_no_problem(folder: IngestFolder, tokenizer: str) -> None:
    texts = [{"text": f"Chapter {number}. Once upon a time."} for number in range(11)]
    ingest(folder, lines(*texts, {"text": "long " * 100}, texts[0]), tokenizer_dir=tokenizer)
    report = folder.report
    assert (report.kind, report.num_rows, report.num_problems) == (RowKind.TEXT, 13, 1)
    assert found_in(folder) == {"duplicate": 1}
    chat_format = ChatFormat.load(Path(tokenizer))
    assert folder.rows[0].num_tokens == len(chat_format.encode_text(texts[0]["text"]))
    assert folder.rows[0].dump_content() == texts[0]


def test_a_text_file_is_rows_of_paragraphs(folder: IngestFolder) -> None:
    paragraphs = [f"{number} is a number. " * 60 for number in range(100, 120)]
    ingest(folder, "\n\n".join(paragraphs).encode(), format=FileFormat.TXT)
    assert (folder.report.num_rows, folder.report.num_heldout) == (20, 2)
    assert [row.number for row in folder.rows][:3] == [1, 3, 5]


def test_a_file_that_changes_its_kind_beyond_the_first_look_is_the_users_to_mend(folder: IngestFolder) -> None:
    rows = lines(*(preference(number) for number in range(300)), {"text": "Once upon a time"})
    assert folder.ingest(rows, format=FileFormat.JSONL, mapping=None) is ExitCode.USER_ERROR
    [error] = [event for event in folder.events if event["type"] == "error"]
    assert (error["code"], error["details"]["row"]) == ("mixed_kinds", 301)


@pytest.mark.parametrize(
    ("mapping", "kind", "num_rows", "first"),
    [
        (Mapping(sheet="Mails", question="asked", answer="told"), RowKind.CHAT, 15, "Is it 0?"),
        (Mapping(sheet="Tickets", question="question", answer="answer"), RowKind.CHAT, 12, "What is 0?"),
        (Mapping(sheet="Better"), RowKind.PREFERENCE, 11, "Is it 0?"),
    ],
)
def test_the_sheet_that_was_chosen_is_read(
    folder: IngestFolder, mapping: Mapping, kind: RowKind, num_rows: int, first: str
) -> None:
    ingest(folder, xlsx(BOOK), format=FileFormat.XLSX, mapping=mapping)
    assert (folder.report.kind, folder.report.num_rows) == (kind, num_rows)
    assert folder.rows[0].messages[0]["content"] == first
