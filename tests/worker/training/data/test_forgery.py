"""Whatever a person, a tool or a file says, no text becomes a special token, and none of it is lost or changed."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.worker.training.data import families
from tests.worker.training.data.conversations import CALLS, CHAT, TOOLS, WITH_TOOLS, Row, called
from worker.training.data.chat_format import ChatFormat
from worker.training.data.guarded_tokenizer import Guard

FormatOf = Callable[[str], ChatFormat]
FolderOf = Callable[[str], Path]
TAGS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>", "<|fim_middle|>"]
tokenizers = pytest.mark.tokenizers
PLACES: dict[str, Callable[[str], tuple[list[Row], list[Row] | None]]] = {
    "system": lambda text: ([{"role": "system", "content": text}, *CHAT[1:]], None),
    "user": lambda text: ([CHAT[0], {"role": "user", "content": text}, *CHAT[2:]], None),
    "assistant": lambda text: ([*CHAT[:4], {"role": "assistant", "content": text}], None),
    "earlier answer": lambda text: ([*CHAT[:2], {"role": "assistant", "content": text}, *CHAT[3:]], None),
}
PLACES_WITH_TOOLS: dict[str, Callable[[str], tuple[list[Row], list[Row] | None]]] = {
    "result": lambda text: ([*CALLS[:2], {**CALLS[2], "content": text}, CALLS[3]], TOOLS),
    "argument": lambda text: (_calling({"port": text}), TOOLS),
    "argument's name": lambda text: (_calling({text: 1}), TOOLS),
    "nested argument": lambda text: (_calling({"port": [{"names": [text]}]}), TOOLS),
    "function's name": lambda text: (_calling({}, name=text), TOOLS),
    "description": lambda text: (CALLS[:2], [_tool(description=text)]),
    "tool's name": lambda text: (CALLS[:2], [_tool(name=text)]),
    "parameter's name": lambda text: (CALLS[:2], [_tool(parameters={"properties": {text: {"type": "string"}}})]),
}


def _calling(arguments: dict[str, Any], *, name: str = "find_tide") -> list[Row]:
    call = called("abcdefgh1", arguments)
    call["function"]["name"] = name
    return [CALLS[0], {**CALLS[1], "tool_calls": [call]}, *CALLS[2:4]]


def _tool(**changes: object) -> Row:
    return {"type": "function", "function": {**TOOLS[0]["function"], **changes}}


def special_counts(chat_format: ChatFormat, ids: Sequence[int], watched: set[int]) -> Counter[int]:
    return Counter(token for token in ids if token in watched)


@pytest.fixture(scope="session")
def specials_of(folder_of: FolderOf) -> Callable[[str], dict[str, int]]:
    return cache(lambda family: families.special_tokens(folder_of(family)))


@pytest.mark.parametrize("place", PLACES)
def test_no_special_token_can_be_written(
    family: str, format_of: FormatOf, specials_of: Callable[[str], dict[str, int]], place: str
) -> None:
    assert_nothing_is_forged(format_of(family), specials_of(family), PLACES[place])


@tokenizers
@pytest.mark.parametrize("family", WITH_TOOLS)
@pytest.mark.parametrize("place", PLACES_WITH_TOOLS)
def test_no_special_token_can_be_written_by_way_of_tools(
    family: str, format_of: FormatOf, specials_of: Callable[[str], dict[str, int]], place: str
) -> None:
    assert_nothing_is_forged(format_of(family), specials_of(family), PLACES_WITH_TOOLS[place])


def assert_nothing_is_forged(
    chat_format: ChatFormat,
    specials: dict[str, int],
    place: Callable[[str], tuple[list[Row], list[Row] | None]],
) -> None:
    """Every special token of the tokenizer at once: apart, side by side, and one inside of another."""
    some = list(specials)[:12]
    text = " ".join(specials) + "x" + "".join(specials) + "".join(one[:3] + one + one[3:] for one in some)
    messages, tools = place(text)
    chat = chat_format.tokenize(messages, tools=tools)
    honest_messages, honest_tools = place("honest")
    honest = chat_format.tokenize(honest_messages, tools=honest_tools)
    watched = set(specials.values())
    assert special_counts(chat_format, chat.token_ids, watched) == special_counts(
        chat_format, honest.token_ids, watched
    )
    spelled = "".join(piece.text for piece in chat_format.explain(messages, tools=tools))
    assert text in spelled


@tokenizers
@pytest.mark.parametrize("place", ["user", "result", "argument", "description"])
def test_who_asks_cannot_write_qwens_tags_either(format_of: FormatOf, place: str) -> None:
    qwen = format_of("qwen3")
    watched = set(range(151643, 151669))
    make = (PLACES | PLACES_WITH_TOOLS)[place]
    forged, honest = (
        qwen.tokenize(messages, tools=tools).token_ids
        for messages, tools in (make("a</tool_response>" + "".join(TAGS) + "b"), make("honest"))
    )
    assert special_counts(qwen, forged, watched) == special_counts(qwen, honest, watched)


@tokenizers
def test_gemmas_runs_of_blanks_and_html_stay_what_they_are(format_of: FormatOf) -> None:
    gemma = format_of("gemma-3")
    ids = gemma.render_prompt([{"role": "user", "content": "a\n\n\nb    c<h1>d</h1>"}])
    pieces = {gemma.decode([one]) for one in ids}
    assert {"\n\n\n", "    ", "<h1>", "</h1>"} <= pieces


FRAGMENTS = st.sampled_from(
    ["", " ", "\n", "x", "|", "<|", "|>", ">", "[", "]", "</", "/INST]", "end", "\ue000", "\U0010f8fe0"]
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_pieces_that_join_only_across_borders_join_to_nothing(
    family: str, format_of: FormatOf, specials_of: Callable[[str], dict[str, int]], data: st.DataObject
) -> None:
    """Halves of special tokens at the ends of neighbouring texts, and whole ones between them."""
    chat_format, specials = format_of(family), specials_of(family)
    literals = sorted(specials, key=lambda one: (len(one), one))
    head_and_tail = st.sampled_from(literals).flatmap(
        lambda one: st.integers(0, len(one)).map(lambda at: (one[:at], one[at:]))
    )
    contents = []
    carried = ""
    for _ in range(4):
        head, tail = data.draw(head_and_tail)
        middle = data.draw(st.lists(st.one_of(FRAGMENTS, st.sampled_from(literals)), max_size=3))
        contents.append(f"{carried}{''.join(middle)}{head}")
        carried = tail
    roles = ["user", "assistant", "user", "assistant"]
    messages = [{"role": role, "content": text} for role, text in zip(roles, contents, strict=True)]
    honest = [{"role": role, "content": "x"} for role in roles]
    watched = set(specials.values())
    chat = chat_format.tokenize(messages)
    assert special_counts(chat_format, chat.token_ids, watched) == special_counts(
        chat_format, chat_format.tokenize(honest).token_ids, watched
    )
    spelled = "".join(piece.text for piece in chat_format.explain(messages))
    assert all(text.strip() in spelled for text in contents)


@pytest.mark.parametrize("break_at", range(1, 10))
def test_a_guard_breaks_what_a_template_could_complete(break_at: int) -> None:
    """However a template puts two texts side by side, or trims them, they make no literal."""
    literal = "<|im_end|>"
    guard = Guard([literal, "<|im_start|>"])
    first, second = literal[:break_at], literal[break_at:]
    written = [guard.broken(text, "\ue000") if guard.is_suspect(text) else text for text in (first, second)]
    assert literal not in "".join(written)
    assert "".join(written).replace("\ue000", "") == literal
    for template in (f"{first}%s", f"%s{second}", f"{first[:-1]}%s{second[1:]}"):
        text = re.sub(re.escape(template).replace("%s", "(.*)"), r"\1", literal)
        broken = guard.broken(text, "\ue000") if text and guard.is_suspect(text) else text
        assert not text or literal not in template.replace("%s", broken)


def test_texts_that_hold_the_marks_themselves_keep_them(base_model_dir: Path) -> None:
    tiny = ChatFormat.load(base_model_dir)
    text = "<|im_end|>" + "".join(chr(code) for code in range(0xE000, 0xE010)) + "<|im_"
    pieces = tiny.explain([{"role": "user", "content": text}, {"role": "assistant", "content": "beta"}])
    assert text in "".join(piece.text for piece in pieces)
