"""How calls are written is learned from the template, and what it writes is read back as what was called."""

import json
from pathlib import Path

import pytest

from tests.worker.training.data.families import build
from worker.training.data.chat_format import ChatFormat
from worker.training.data.tool_calls import Call, CallSyntax, Messages, learned_syntax

TAGS = CallSyntax("<tool_call>", "</tool_call>", is_list=False, name_key="name", arguments_key="arguments")
EXPECTED = {
    "qwen2.5": TAGS,
    "qwen3": TAGS,
    "llama-3.1": CallSyntax("", "", is_list=False, name_key="name", arguments_key="parameters"),
    "llama-3.2": CallSyntax("", "", is_list=False, name_key="name", arguments_key="parameters"),
    "mistral-v0.3": CallSyntax("[TOOL_CALLS]", "", is_list=True, name_key="name", arguments_key="arguments"),
    "gemma-3": None,
}
TOOLS = [{"type": "function", "function": {"name": "find_tide", "parameters": {"type": "object", "properties": {}}}}]


@pytest.mark.tokenizers
@pytest.mark.parametrize("family", EXPECTED)
def test_the_families_write_calls_in_these_ways(family: str, tmp_path: Path) -> None:
    chat_format = ChatFormat.load(build(family, tmp_path / family))
    assert chat_format.call_syntax == EXPECTED[family]


@pytest.mark.tokenizers
@pytest.mark.parametrize("family", [family for family, syntax in EXPECTED.items() if syntax])
def test_the_ids_of_a_call_are_read_back_as_the_call(family: str, tmp_path: Path) -> None:
    """From the prompt on, as a model would say them."""
    chat_format = ChatFormat.load(build(family, tmp_path / family))
    assert chat_format.call_syntax is not None
    question = {"role": "user", "content": "How high is the tide?"}
    arguments = {"port": "Östende 🙂", "days": [1, 2], "near": {"lat": -51.2}}
    function = {"name": "find_tide", "arguments": arguments}
    calling = {"role": "assistant", "content": "", "tool_calls": [{"id": "callprobe", "function": function}]}
    prompt = chat_format.render_prompt([question], tools=TOOLS)
    row = chat_format.tokenize([question, calling], tools=TOOLS).token_ids
    assert row[: len(prompt)] == prompt
    said = chat_format.decode_calls(row[len(prompt) :]).removeprefix("<think>\n\n</think>\n\n")
    assert chat_format.call_syntax.read(said) == [Call("find_tide", arguments)]


@pytest.mark.parametrize(
    "turn",
    [
        "I call find_tide with port Ostend",  # no JSON
        '{"name": "find_tide"}',  # without its arguments
        '<call name="find_tide">{"port": "Ostend", "days": [1, 2], "exact": true}</call>',  # the name is not in it
        "",
    ],
)
def test_a_template_whose_calls_cannot_be_read_back_has_no_syntax(turn: str) -> None:
    assert learned_syntax(lambda _: turn) is None


def test_a_template_that_forgets_the_second_call_has_no_syntax() -> None:
    def written(messages: Messages) -> str:
        function = messages[-1]["tool_calls"][0]["function"]
        return json.dumps({"name": function["name"], "arguments": function["arguments"]})

    assert learned_syntax(written) is None
