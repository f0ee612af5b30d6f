"""Preferences in the shapes in use, all to one."""

import io
from typing import Any

import orjson
import pytest

from core.datasets.inspection import inspect
from core.datasets.types import FileFormat, Inspection, RowKind
from core.errors import Invalid

ASKED = {"role": "user", "content": "Is it open today?"}
GOOD = {"role": "assistant", "content": "Yes, until six."}
BAD = {"role": "assistant", "content": "Maybe."}
TOOL = {"type": "function", "function": {"name": "hours"}}

OPENAI = {
    "input": {"messages": [ASKED], "tools": [TOOL], "parallel_tool_calls": True},
    "preferred_output": [GOOD],
    "non_preferred_output": [BAD],
}
TEXTS = {"prompt": ASKED["content"], "chosen": GOOD["content"], "rejected": BAD["content"]}


def look_at(*lines: dict[str, Any]) -> Inspection:
    content = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    return inspect(io.BytesIO(content), FileFormat.JSONL)


@pytest.mark.parametrize(
    "line",
    [
        TEXTS,
        OPENAI | {"input": {"messages": [ASKED]}},
        {"question": ASKED["content"], "chosen": GOOD["content"], "rejected": BAD["content"], "id": 7},
        {"prompt": [ASKED], "chosen": [GOOD], "rejected": [BAD]},
        {"prompt": ASKED["content"], "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]},
        {"chosen": [ASKED, GOOD], "rejected": [ASKED, BAD], "score": 0.5},
    ],
)
def test_every_shape_becomes_a_prompt_and_two_answers(line: dict[str, Any]) -> None:
    found = look_at(*[line] * 10)
    assert (found.kind, found.columns, found.mapping, found.num_problems) == (RowKind.PREFERENCE, [], None, 0)
    row = found.sample[0]
    assert (row.messages, row.chosen, row.rejected) == ([ASKED], [GOOD], [BAD])


def test_the_tools_of_a_prompt_and_its_system_message_are_kept() -> None:
    assert look_at(*[OPENAI] * 10).sample[0].tools == [TOOL]
    row = look_at(*[TEXTS | {"system": "Be brief."}] * 10).sample[0]
    assert row.messages == [{"role": "system", "content": "Be brief."}, ASKED]


def test_a_table_with_these_columns_holds_preferences_and_needs_no_mapping() -> None:
    content = b"Prompt,Chosen,Rejected\n" + b'"Is it open, today?",Yes,No\n' * 10
    found = inspect(io.BytesIO(content), FileFormat.CSV)
    assert (found.kind, found.columns, found.mapping) == (RowKind.PREFERENCE, [], None)
    assert found.sample[0].row == 2
    assert found.sample[0].rejected == [{"role": "assistant", "content": "No"}]


def test_an_empty_answer_and_two_alike_are_problems_of_their_rows() -> None:
    found = look_at(*[TEXTS] * 10, TEXTS | {"rejected": " "}, TEXTS | {"rejected": f" {TEXTS['chosen']} "})
    assert [(problem.row, problem.column, problem.code) for problem in found.problems] == [
        (11, "rejected", "empty"),
        (12, "rejected", "answers_alike"),
    ]


@pytest.mark.parametrize(
    ("line", "code", "column"),
    [
        (OPENAI | {"input": {}}, "preference_malformed", "input"),
        (OPENAI | {"non_preferred_output": None}, "messages_malformed", "non_preferred_output"),
        (OPENAI | {"preferred_output": [GOOD, GOOD]}, "messages_malformed", "preferred_output"),
        (OPENAI | {"preferred_output": [ASKED]}, "messages_malformed", "preferred_output"),
        (OPENAI | {"input": {"messages": [ASKED, GOOD]}}, "messages_malformed", "input.messages[1].role"),
        ({"chosen": "a", "rejected": "b"}, "preference_malformed", "prompt"),
        (TEXTS | {"chosen": 7}, "messages_malformed", "chosen"),
        (TEXTS | {"chosen": [ASKED, GOOD], "prompt": "Another?"}, "messages_malformed", "chosen"),
    ],
)
def test_what_is_no_preference_is_refused_with_its_place(line: dict[str, Any], code: str, column: str) -> None:
    with pytest.raises(Invalid) as refused:
        look_at(line, *[OPENAI] * 10)
    assert (refused.value.error_code, refused.value.details["column"]) == (code, column)


@pytest.mark.parametrize("other", [{"messages": [ASKED, GOOD]}, {"text": "Once upon a time"}])
def test_a_file_of_two_kinds_is_refused_where_the_second_begins(other: dict[str, Any]) -> None:
    for lines in ([TEXTS] * 10 + [other], [other] * 10 + [TEXTS]):
        with pytest.raises(Invalid) as refused:
            look_at(*lines)
        assert (refused.value.error_code, refused.value.details["row"]) == ("mixed_kinds", 11)
        assert "file of its own" in refused.value.message


def test_a_table_in_which_conversations_begin_is_refused_too() -> None:
    table = [{"question": f"What is {number}?", "answer": "A number."} for number in range(10)]
    with pytest.raises(Invalid) as refused:
        look_at(*table, {"messages": [ASKED, GOOD]})
    assert (refused.value.error_code, refused.value.details["row"]) == ("mixed_kinds", 11)
