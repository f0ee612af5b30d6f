"""Conversations with tools, weights and names, as OpenAI's files have them."""

import io
from typing import Any

import orjson
import pytest

from core.datasets.inspection import inspect
from core.datasets.types import FileFormat, Inspection, RowKind
from core.errors import Invalid

USER = {"role": "user", "content": "What is the weather in Bern?"}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "14 degrees"}
SAYING = {"role": "assistant", "content": "It is 14 degrees."}


def look_at(*lines: dict[str, Any]) -> Inspection:
    content = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    return inspect(io.BytesIO(content), FileFormat.JSONL)


def test_a_conversation_with_tools_is_kept_whole() -> None:
    line = {"messages": [USER, CALLING, RESULT, SAYING], "tools": [TOOL], "parallel_tool_calls": False}
    found = look_at(*[line] * 10)
    assert (found.kind, found.num_problems) == (RowKind.CHAT, 0)
    assert found.sample[0].messages == [USER, CALLING, RESULT, SAYING]
    assert found.sample[0].tools == [TOOL]


def test_arguments_written_as_an_object_become_the_text_of_the_wire() -> None:
    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Bern"}}}
    found = look_at(*[{"messages": [USER, {"role": "assistant", "content": "", "tool_calls": [call]}]}] * 10)
    [kept] = found.sample[0].messages[1]["tool_calls"]
    assert kept == {"type": "function", "function": {"name": "weather", "arguments": '{"city":"Bern"}'}}


def test_weights_between_none_and_all_are_kept_and_a_full_one_is_not_written() -> None:
    answers = [{"role": "assistant", "content": "a", "weight": weight} for weight in (0, 0.5, 1)]
    asked = {"role": "user", "content": "q", "name": "Ann", "weight": 0}
    found = look_at(*[{"messages": [asked, answers[0], asked, answers[1], asked, answers[2]]}] * 10)
    messages = found.sample[0].messages
    assert [message.get("weight") for message in messages[1::2]] == [0.0, 0.5, None]
    assert messages[0] == {"role": "user", "content": "q", "name": "Ann"}


def test_a_row_of_which_nothing_is_learned_is_left_out() -> None:
    taught = {"messages": [USER, SAYING]}
    untaught = {"messages": [USER, SAYING | {"weight": 0}]}
    found = look_at(*[taught] * 10, untaught)
    assert [(problem.row, problem.code) for problem in found.problems] == [(11, "nothing_to_learn")]


def test_a_tool_that_has_nothing_to_say_is_no_fault_and_an_empty_answer_is_one() -> None:
    silent = {"messages": [USER, CALLING, RESULT | {"content": ""}, SAYING]}
    found = look_at(*[silent] * 10, {"messages": [USER, {"role": "assistant", "content": " "}]})
    assert [(problem.row, problem.column, problem.code) for problem in found.problems] == [
        (11, "messages[1].content", "empty")
    ]


def test_a_zero_character_is_found_wherever_it_stands() -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "a\0b"}}
    found = look_at({"messages": [USER, SAYING], "tools": [tool]}, *[{"messages": [USER, SAYING]}] * 10)
    assert [(problem.row, problem.code) for problem in found.problems] == [(1, "zero_character")]
    assert "\\x00" not in repr(found)


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ({"messages": [USER, {"role": "assistant", "content": None}]}, "messages[1].content"),
        ({"messages": [USER | {"weight": 0.5}, SAYING]}, "messages[0].weight"),
        ({"messages": [USER, SAYING | {"weight": 2}]}, "messages[1].weight"),
        ({"messages": [USER, SAYING | {"weight": True}]}, "messages[1].weight"),
        ({"messages": [USER, SAYING | {"name": 7}]}, "messages[1].name"),
        ({"messages": [USER, SAYING], "tools": {"weather": {}}}, "tools"),
        ({"messages": [USER, SAYING], "tools": [{"name": "weather"}]}, "tools[0]"),
        ({"messages": [USER, SAYING], "functions": [{"name": "weather"}]}, "functions"),
        ({"messages": [USER, {"role": "assistant", "function_call": {"name": "f"}}]}, "messages[1].function_call"),
        ({"messages": [USER | {"tool_calls": [CALL]}, SAYING]}, "messages[0].tool_calls"),
        ({"messages": [USER, CALLING | {"tool_calls": [{"function": {}}]}]}, "messages[1].tool_calls[0]"),
        (
            {"messages": [USER, CALLING | {"tool_calls": [{"function": {"name": "f", "arguments": "x"}}]}]},
            "messages[1].tool_calls[0].function.arguments",
        ),
        ({"messages": [USER, RESULT, SAYING]}, "messages[1].role"),
        ({"messages": [USER, CALLING, RESULT | {"tool_call_id": "call_2"}, SAYING]}, "messages[2].tool_call_id"),
        ({"messages": [USER, CALLING, RESULT]}, "messages[2].role"),
    ],
)
def test_what_no_chat_model_could_read_is_refused_with_its_place(line: dict[str, Any], column: str) -> None:
    with pytest.raises(Invalid) as refused:
        look_at(line, *[{"messages": [USER, SAYING]}] * 10)
    assert (refused.value.error_code, refused.value.details["column"]) == ("messages_malformed", column)
    assert refused.value.details["row"] == 1


def test_tools_nested_deeper_than_any_program_reads_are_refused() -> None:
    deep = b'{"a":' * 200 + b"1" + b"}" * 200
    line = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "tools": '
    line += b'[{"type": "function", "function": {"name": "f", "parameters": %s}}]}\n' % deep
    with pytest.raises(Invalid) as refused:
        inspect(io.BytesIO(line * 10), FileFormat.JSONL)
    assert refused.value.details["column"] == "tools"
