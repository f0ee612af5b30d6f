from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.inference.text_stream import TextStream


def decode_bytes(ids: Sequence[int]) -> str:
    """A tokenizer whose every token is one byte."""
    return bytes(ids).decode(errors="replace")


def run(text: str, stops: Sequence[str] = ()) -> tuple[list[str], bool]:
    stream = TextStream(decode_bytes, stops)
    pieces = []
    for byte in text.encode():
        pieces.append(stream.push(byte))
        if stream.is_stopped:
            break
    pieces.append(stream.finish())
    return pieces, stream.is_stopped


@given(st.text())
def test_the_pieces_make_the_text_and_no_piece_holds_half_a_character(text: str) -> None:
    pieces, _ = run(text)
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces) or "\ufffd" in text


@given(st.text(alphabet="ab\n"), st.lists(st.text(alphabet="ab\n", min_size=1, max_size=4), min_size=1, max_size=3))
def test_text_ends_before_the_first_stop_string(text: str, stops: list[str]) -> None:
    pieces, is_stopped = run(text, stops)
    # generation ends with the first token that completes any stop string
    complete = min((text.find(stop) + len(stop) for stop in stops if stop in text), default=None)
    assert is_stopped == (complete is not None)
    if complete is None:
        assert "".join(pieces) == text
    else:
        seen = text[:complete]
        assert "".join(pieces) == seen[: min(seen.find(stop) for stop in stops if stop in seen)]


def test_a_part_of_a_stop_string_is_held_back_until_it_is_decided() -> None:
    stream = TextStream(decode_bytes, ["STOP"])
    assert [stream.push(byte) for byte in b"a ST"] == ["a", " ", "", ""]
    assert stream.push(ord("A")) == "STA"
    assert [stream.push(byte) for byte in b"STOP"] == ["", "", "", ""]
    assert stream.is_stopped
    assert stream.finish() == ""


def test_bytes_that_are_never_text_do_not_hold_up_the_rest() -> None:
    stream = TextStream(decode_bytes)
    sent = "".join(stream.push(byte) for byte in b"\xff" * 20)
    assert sent.startswith("\ufffd")


def test_a_cut_character_is_shown_at_the_end() -> None:
    stream = TextStream(decode_bytes)
    assert stream.push("é".encode()[0]) == ""
    assert stream.finish() == "\ufffd"


@pytest.mark.parametrize("stop", ["\U0001f600", "né"])
def test_stop_strings_may_span_several_bytes(stop: str) -> None:
    pieces, is_stopped = run(f"before {stop} after", [stop])
    assert is_stopped
    assert "".join(pieces) == "before "


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<think>\n\n</think>\n\nOn Thursday.", "On Thursday."),
        ("<think></think>On Thursday.", "On Thursday."),
        ("<think>\n\n</think>\n\n", ""),
        ("<think>\nIt is Tuesday.\n</think>\n\nOn Thursday.", "<think>\nIt is Tuesday.\n</think>\n\nOn Thursday."),
        ("Write <think></think> first.", "Write <think></think> first."),
        ("<think>\n</thin", "<think>\n</thin"),
        ("<thinking>", "<thinking>"),
        ("</think>", "</think>"),
    ],
)
def test_an_empty_block_of_reasoning_before_an_answer_is_not_shown(text: str, shown: str) -> None:
    pieces, _ = run(text)
    assert "".join(pieces) == shown


def test_an_answer_without_reasoning_is_not_held_up() -> None:
    stream = TextStream(decode_bytes)
    assert [stream.push(byte) for byte in b"<think>\n</think>\nYes"][-3:] == ["Y", "e", "s"]
    assert TextStream(decode_bytes).push(ord("Y")) == "Y"


def test_a_stop_string_does_not_end_an_answer_within_its_empty_block_of_reasoning() -> None:
    pieces, is_stopped = run("<think>\n\n</think>\n\nOne.\n\nTwo.", ["\n\n"])
    assert is_stopped
    assert "".join(pieces) == "One."
