"""Lines that say by themselves what they are, through the door that uploads come in by."""

import io
from typing import Any

import orjson
import pytest

from core.datasets.inspection import inspect
from core.datasets.types import FileFormat, Inspection, RowKind, Shape
from core.errors import Invalid


def inspected(line: dict[str, Any], *others: dict[str, Any]) -> Inspection:
    content = b"".join(orjson.dumps(one) + b"\n" for one in [*[line] * 10, *others])
    return inspect(io.BytesIO(content), FileFormat.JSONL)


def refused(line: dict[str, Any], *others: dict[str, Any]) -> tuple[str, int, str]:
    with pytest.raises(Invalid) as error:
        inspected(line, *others)
    details = error.value.details
    assert details["cause"]
    assert details["fix"]
    return error.value.error_code, details["row"], details["column"]


def said(found: Inspection) -> list[tuple[str, str | None]]:
    return [(message["role"], message["content"]) for message in found.sample[0].messages]


HUMAN, GPT = {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}
SAID = [("user", "Hi"), ("assistant", "Hello")]


class TestShareGpt:
    @pytest.mark.parametrize(
        "line",
        [
            {"conversations": [HUMAN, GPT]},
            {"id": "a", "conversations": [{"from": "user", "value": "Hi"}, {"from": "Assistant", "value": "Hello"}]},
            {"conversation": [HUMAN, GPT]},
            {"messages": [HUMAN, GPT]},
            {"conversations": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]},
            # nobody answers what is said last
            {"conversations": [HUMAN, GPT, {"from": "human", "value": "Thanks"}]},
        ],
    )
    def test_is_told_whatever_its_speakers_are_called(self, line: dict[str, Any]) -> None:
        found = inspected(line)
        assert (found.shape, found.kind, found.columns, found.mapping) == (Shape.SHAREGPT, RowKind.CHAT, [], None)
        assert said(found) == SAID

    def test_has_instructions_in_the_list_or_beside_it(self) -> None:
        told = {"from": "system", "value": "Be kind"}
        for line in ({"conversations": [told, HUMAN, GPT]}, {"conversations": [HUMAN, GPT], "system": "Be kind"}):
            assert said(inspected(line)) == [("system", "Be kind"), *SAID]

    def test_calls_functions_in_messages_of_their_own(self) -> None:
        call = {"from": "function_call", "value": '{"name": "look", "arguments": {"at": "home"}}'}
        seen = {"from": "observation", "value": "nobody"}
        tools = '[{"name": "look", "parameters": {}}]'
        found = inspected({"conversations": [HUMAN, call, seen, GPT], "tools": tools})
        called, heard = found.sample[0].messages[1:3]
        assert called["tool_calls"] == [
            {"type": "function", "function": {"name": "look", "arguments": '{"at":"home"}'}}
        ]
        assert heard == {"role": "tool", "content": "nobody"}
        assert found.sample[0].tools == [{"type": "function", "function": {"name": "look", "parameters": {}}}]

    def test_without_an_answer_a_row_is_left_out(self) -> None:
        found = inspected({"conversations": [HUMAN, GPT]}, {"conversations": [HUMAN]}, {"conversations": []})
        assert [(problem.row, problem.code) for problem in found.problems] == [(11, "no_answer"), (12, "no_answer")]

    @pytest.mark.parametrize(
        ("broken", "column"),
        [
            ({"conversations": [{"from": "narrator", "value": "Once"}, GPT]}, "conversations[0].from"),
            ({"conversations": [{"value": "Once"}, GPT]}, "conversations[0].from"),
            ({"conversations": [{"from": "human", "value": 7}, GPT]}, "conversations[0].value"),
            ({"conversations": ["Hi", GPT]}, "conversations[0]"),
            ({"conversations": [HUMAN, {"from": "function_call", "value": "look()"}, GPT]}, "conversations[1].value"),
            ({"conversations": [HUMAN, GPT], "tools": "look"}, "tools"),
            ({"other": 1}, "conversations"),
        ],
    )
    def test_a_line_that_breaks_it_is_refused_with_its_place(self, broken: dict[str, Any], column: str) -> None:
        assert refused({"conversations": [HUMAN, GPT]}, broken) == ("messages_malformed", 11, column)

    def test_is_not_mixed_with_openai_lines(self) -> None:
        chat = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
        assert refused({"conversations": [HUMAN, GPT]}, chat)[:2] == ("mixed_kinds", 11)


class TestAlpaca:
    def test_with_a_history_is_a_conversation(self) -> None:
        line = {"instruction": "And now?", "input": "six", "output": "Six.", "system": "Count", "history": [["a", "b"]]}
        found = inspected(line)
        assert (found.shape, found.mapping) == (Shape.ALPACA, None)
        assert said(found) == [
            ("system", "Count"), ("user", "a"), ("assistant", "b"), ("user", "And now?\n\nsix"), ("assistant", "Six."),
        ]  # fmt: skip

    def test_without_one_has_columns_that_are_proposed_and_none_is_lost(self) -> None:
        found = inspected({"instruction": "Add", "input": "2 and 2", "output": "4"})
        assert found.shape is Shape.TABLE
        assert found.mapping is not None
        assert found.mapping.dump() == {"question": "instruction", "context": "input", "answer": "output"}
        assert said(found) == [("user", "Add\n\n2 and 2"), ("assistant", "4")]

    def test_a_broken_history_is_refused_with_its_place(self) -> None:
        line = {"instruction": "a", "output": "b", "history": []}
        assert refused(line, {**line, "history": [["a"]]}) == ("alpaca_malformed", 11, "history[0]")
        assert refused(line, {"instruction": "a", "history": []}) == ("alpaca_malformed", 11, "output")


class TestPromptAndCompletion:
    def test_as_messages_are_one_conversation(self) -> None:
        line = {
            "prompt": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Hi"}],
            "completion": [{"role": "assistant", "content": "Hello"}],
        }
        found = inspected(line)
        assert (found.shape, said(found)) == (Shape.PROMPT_COMPLETION, [("system", "Be kind"), *SAID])

    def test_as_texts_are_columns(self) -> None:
        found = inspected({"prompt": "Hi", "completion": "Hello"})
        assert (found.shape, said(found)) == (Shape.TABLE, SAID)


QUESTION = {"messages": [{"role": "user", "content": "Hi"}]}


class TestReinforcement:
    @pytest.mark.parametrize("name", ["reference_answer", "ideal", "ground_truth"])
    def test_the_reference_is_learned_as_the_answer_if_it_is_one_text(self, name: str) -> None:
        found = inspected({**QUESTION, name: "Hello", "difficulty": 3})
        assert (found.shape, said(found)) == (Shape.OPENAI_REINFORCEMENT, SAID)

    @pytest.mark.parametrize("beside", [{"reference_answer": {"compliant": "yes"}}, {"rubric": "Be kind"}])
    def test_without_one_it_is_refused_by_name(self, beside: dict[str, Any]) -> None:
        assert refused({**QUESTION, **beside}) == ("reinforcement_without_answer", 1, "messages")

    def test_a_conversation_whose_answer_was_forgotten_is_none(self) -> None:
        assert refused({**QUESTION, "id": 7}) == ("messages_malformed", 1, "messages[0].role")
