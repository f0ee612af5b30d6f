"""Tools through the whole runtime: into the prompt, and out of what the model says."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from core.inference.types import DeltaLine, DoneLine, Message, Sampling, StreamLine, ToolCall
from tests.worker.inference.test_scheduler import drive
from tests.worker.inference.tiny_models import chat_request
from worker.inference.generation import Generation
from worker.inference.runtime import BaseRuntime, load_runtime
from worker.inference.sampling import Sampler
from worker.inference.scheduler import Lane
from worker.inference.service import _prompt_ids

# a small one of the kind of Qwen's
TEMPLATE = """
{%- if tools %}<|im_start|>system
Tools: {% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
TOOL = {
    "type": "function",
    "function": {"name": "find_tide", "description": "Height of the tide.", "parameters": {"type": "object"}},
}
CALL = '<tool_call>\n{"name": "find_tide", "arguments": {"port": "Ostend"}}\n</tool_call>'


@pytest.fixture(scope="module")
def calling(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> BaseRuntime:
    folder = tmp_path_factory.mktemp("models") / "calling"
    shutil.copytree(base_folder, folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return load_runtime(folder, None)


def say(
    runtime: BaseRuntime,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    *,
    tools: Sequence[str] = ("find_tide",),
    may_call_several: bool = True,
    sampling: Sampling | None = None,
) -> list[StreamLine]:
    """What is sent while the model says `text`, token by token."""
    script: Iterator[int] = iter([*runtime.chat_format.encode_text(text), runtime.chat_format.end_of_turn_id])
    lines: list[StreamLine] = []
    with monkeypatch.context() as patched:
        patched.setattr(Sampler, "choose", lambda *_: next(script))
        generation = Generation(
            runtime,
            [1, 40, 41],
            sampling or Sampling(max_tokens=500),
            lines.append,
            tools=tools,
            may_call_several=may_call_several,
        )
        lane = Lane(runtime)
        lane.waiting.append(generation)
        drive(lane)
    return lines


def text_of(lines: Sequence[StreamLine]) -> str:
    return "".join(line.text for line in lines if isinstance(line, DeltaLine))


def calls_of(lines: Sequence[StreamLine]) -> list[ToolCall]:
    return [call for line in lines if isinstance(line, DeltaLine) for call in line.tool_calls]


def test_definitions_calls_and_results_stand_in_the_prompt(calling: BaseRuntime) -> None:
    call = ToolCall(id="call_1", name="find_tide", arguments='{"port": "Ostend"}')
    request = chat_request().model_copy(
        update={
            "tools": (TOOL,),
            "messages": (
                Message(role="user", content="How high?"),
                Message(role="assistant", tool_calls=(call,)),
                Message(role="tool", content="4.2 metres", tool_call_id="call_1"),
            ),
        }
    )
    prompt = calling.chat_format.decode(_prompt_ids(calling, request))
    for part in ("Height of the tide.", CALL, "4.2 metres"):
        assert part in prompt


def test_a_call_is_told_as_a_call(calling: BaseRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = say(calling, monkeypatch, f"Let me look.\n{CALL}")
    assert text_of(lines) == "Let me look."
    (call,) = calls_of(lines)
    assert (call.name, json.loads(call.arguments)) == ("find_tide", {"port": "Ostend"})
    assert isinstance(lines[-1], DoneLine)
    assert lines[-1].finish_reason == "tool_calls"


def test_without_tools_the_same_words_are_text(calling: BaseRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = say(calling, monkeypatch, CALL, tools=())
    assert (text_of(lines), calls_of(lines)) == (CALL, [])
    assert isinstance(lines[-1], DoneLine)
    assert lines[-1].finish_reason == "stop"


def test_a_call_that_is_cut_off_is_text(calling: BaseRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = say(calling, monkeypatch, CALL, sampling=Sampling(max_tokens=30))
    assert CALL.startswith(text_of(lines))
    assert len(text_of(lines)) > 10
    assert isinstance(lines[-1], DoneLine)
    assert lines[-1].finish_reason == "length"


def test_one_call_ends_the_answer_where_no_more_are_wanted(
    calling: BaseRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = f"{CALL}\n{CALL}"
    several, single = (say(calling, monkeypatch, both, may_call_several=several) for several in (True, False))
    assert (len(calls_of(several)), len(calls_of(single))) == (2, 1)
    assert isinstance(several[-1], DoneLine)
    assert isinstance(single[-1], DoneLine)
    assert single[-1].usage.completion_tokens < several[-1].usage.completion_tokens


@pytest.mark.parametrize(
    ("said", "stop", "shown"),
    [
        ("Look here.", "here", "Look "),
        ("<think>\n\n</think>\n\nYes.", "zzz", "Yes."),
        ("<think>\n</think>", "zzz", ""),
        ("<think>No", "zzz", "<think>No"),
        ("aab", "ab", "a"),
    ],
)
def test_log_probabilities_cover_exactly_the_text_that_is_shown(
    calling: BaseRuntime, monkeypatch: pytest.MonkeyPatch, said: str, stop: str, shown: str
) -> None:
    asked = Sampling(max_tokens=500, top_logprobs=1, stop=(stop,))
    lines = say(calling, monkeypatch, said, tools=(), sampling=asked)
    pieces = [line for line in lines if isinstance(line, DeltaLine)]
    assert text_of(lines) == shown
    spelled = [b"".join(bytes(entry.bytes or ()) for entry in piece.logprobs).decode() for piece in pieces]
    assert "".join(spelled) == shown


def test_log_probabilities_cover_the_text_and_not_the_call(
    calling: BaseRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = say(calling, monkeypatch, f"Look.\n{CALL}", sampling=Sampling(max_tokens=500, top_logprobs=1))
    entries = [entry for line in lines if isinstance(line, DeltaLine) for entry in line.logprobs]
    assert b"".join(bytes(entry.bytes or ()) for entry in entries) == b"Look."


def test_a_call_stands_beside_an_answer_without_tools(
    calling: BaseRuntime,
) -> None:
    """One reader never holds back what another's answer says."""
    plain: list[StreamLine] = []
    lane = Lane(calling)
    lane.waiting.append(Generation(calling, [1, 50], Sampling(temperature=0, max_tokens=8), plain.append))
    drive(lane)
    mixed_plain: list[StreamLine] = []
    mixed_tools: list[StreamLine] = []
    lane = Lane(calling)
    lane.waiting.append(Generation(calling, [1, 50], Sampling(temperature=0, max_tokens=8), mixed_plain.append))
    lane.waiting.append(
        Generation(calling, [1, 60], Sampling(temperature=0, max_tokens=8), mixed_tools.append, tools=["find_tide"])
    )
    drive(lane)
    assert text_of(mixed_plain) == text_of(plain)
    assert isinstance(mixed_tools[-1], DoneLine)
