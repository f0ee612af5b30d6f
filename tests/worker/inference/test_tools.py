"""Tools through the whole runtime: into the prompt, and out of what the model says."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import jsonschema_rs
import pytest
import torch

from core.errors import Invalid
from core.inference.types import (
    CallShape,
    Constraint,
    DeltaLine,
    DoneLine,
    Message,
    Sampling,
    StreamLine,
    ToolCall,
)
from tests.worker.inference.test_constraints import closing
from tests.worker.inference.test_scheduler import drive
from tests.worker.inference.tiny_models import chat_request
from worker.inference.asking import prompt_ids_of
from worker.inference.generation import Generation
from worker.inference.runtime import BaseRuntime, load_runtime
from worker.inference.sampling import Sampler
from worker.inference.scheduler import Lane
from worker.training.data.tool_calls import CallSyntax

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
    prompt = calling.chat_format.decode(prompt_ids_of(request, calling))
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


STRICT = {
    "type": "object",
    "properties": {"port": {"enum": ["Ostend", "Bruges"]}, "hours": {"type": "array", "items": {"type": "boolean"}}},
    "required": ["port", "hours"],
    "additionalProperties": False,
}


def calls_by(*names: str, must_call: bool = True) -> Constraint:
    shapes = [
        CallShape(name=name, json_schema=json.dumps(STRICT), param=f"tools[{at}].function.parameters")
        for at, name in enumerate(names)
    ]
    return Constraint(calls=tuple(shapes), must_call=must_call)


def said_by_dice(
    runtime: BaseRuntime, constraint: Constraint, *, seed: int, may_call_several: bool = True
) -> list[StreamLine]:
    """Of a model that says what the dice say."""
    lines: list[StreamLine] = []
    lane = Lane(runtime)
    lane.waiting.append(
        Generation(
            runtime,
            [1, 40 + seed],
            Sampling(temperature=2, seed=seed, max_tokens=700, logit_bias=closing(runtime)),
            lines.append,
            tools=["find_tide", "book_berth"],
            may_call_several=may_call_several,
            mask=runtime.constraints.mask(constraint, may_call_several=may_call_several),
        )
    )
    drive(lane)
    return lines


# how Llama, Mistral and Qwen write calls, and one that opens with a special token
SYNTAXES = {
    "tags": CallSyntax("<tool_call>", "</tool_call>", is_list=False, name_key="name", arguments_key="arguments"),
    "bare": CallSyntax("", "", is_list=False, name_key="name", arguments_key="parameters"),
    "list": CallSyntax("[TOOL_CALLS]", "", is_list=True, name_key="name", arguments_key="arguments"),
    "special": CallSyntax("<|im_start|>call:", "<|endoftext|>", is_list=False, name_key="n", arguments_key="a"),
}


@pytest.fixture(params=SYNTAXES, scope="module")
def of_each_kind(request: pytest.FixtureRequest, base_folder: Path) -> BaseRuntime:
    """The tiny model with the marks of another's calls."""
    runtime = load_runtime(base_folder, None)
    syntax = SYNTAXES[request.param]
    chat_format = runtime.chat_format
    chat_format.call_syntax = syntax
    chat_format._call_markers = chat_format._tokenizer.special_ids_in(syntax.opening + syntax.closing)
    return runtime


def test_a_call_that_must_come_comes_and_keeps_to_its_schema(of_each_kind: BaseRuntime) -> None:
    for seed in range(3):
        lines = said_by_dice(of_each_kind, calls_by("find_tide", "book_berth"), seed=seed, may_call_several=False)
        assert isinstance(lines[-1], DoneLine)
        if lines[-1].finish_reason == "length":
            continue
        (call,) = calls_of(lines)
        assert text_of(lines) == ""
        assert call.name in {"find_tide", "book_berth"}
        assert jsonschema_rs.is_valid(STRICT, json.loads(call.arguments))
        assert lines[-1].finish_reason == "tool_calls"


def test_the_one_that_is_named_is_called(of_each_kind: BaseRuntime) -> None:
    lines = said_by_dice(of_each_kind, calls_by("book_berth"), seed=5, may_call_several=False)
    assert {call.name for call in calls_of(lines)} == {"book_berth"}


def test_a_text_may_come_in_the_place_of_a_call_but_no_other_call(of_each_kind: BaseRuntime) -> None:
    """What the model says is let through as long as it is no call that breaks the schema."""
    syntax = of_each_kind.chat_format.call_syntax
    assert syntax is not None
    wrong = {syntax.name_key: "find_tide", syntax.arguments_key: {"port": "Paris", "hours": []}}
    right = {syntax.name_key: "find_tide", syntax.arguments_key: {"port": "Bruges", "hours": [True]}}
    constraint = calls_by("find_tide", must_call=False)
    for said, is_let_through in ((wrong, False), (right, True)):
        body = json.dumps([said] if syntax.is_list else said)
        assert is_kept_to(of_each_kind, constraint, f"{syntax.opening}{body}{syntax.closing}") is is_let_through
    assert is_kept_to(of_each_kind, constraint, "High water is at two. See [1] <tool or: {}")
    assert is_kept_to(of_each_kind, constraint, "")


def is_kept_to(runtime: BaseRuntime, constraint: Constraint, said: str) -> bool:
    """Whether a model may say this, letter by letter, and end there."""
    mask = runtime.constraints.mask(constraint)
    ids: list[int] = []
    for piece in runtime.chat_format.split(said):
        ids += [piece] if isinstance(piece, int) else letters(runtime, piece)
    try:
        for token_id in ids:
            mask.take(token_id)
        return mask.is_complete or bool(mask.applied(torch.zeros(runtime.num_scores))[max(runtime.end_ids)] == 0)
    except Invalid:
        return False


def letters(runtime: BaseRuntime, text: str) -> list[int]:
    by_bytes = {runtime.chat_format.bytes_of(one): one for one in range(runtime.num_scores)}
    return [by_bytes[bytes([byte])] for byte in text.encode()]
