"""A row on the page is the row that is trained: the same tokens and weights, told as text."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from core.datasets.types import RowKind
from tests.worker.training.data.conversations import CALLS, CHAT, TOOLS, WITH_TOOLS
from worker.training.data.chat_format import ChatFormat
from worker.training.data.encoding import encode_lines
from worker.training.data.learning_view import SequenceView, Span, view

FormatOf = Callable[[str], ChatFormat]
EMOJI = "👩‍👩‍👧 é 日本"


@pytest.fixture(scope="module")
def tiny(base_model_dir: Path) -> ChatFormat:
    return ChatFormat.load(base_model_dir)


def text_of(one: SequenceView, **wanted: object) -> str:
    return "".join(
        span.text for span in one.spans if all(getattr(span, name) == value for name, value in wanted.items())
    )


def test_spans_are_the_whole_row_in_order(tiny: ChatFormat) -> None:
    row = {"messages": [{"role": "user", "content": f"alpha {EMOJI}"}, {"role": "assistant", "content": EMOJI}]}
    (one,) = view(tiny, row, RowKind.CHAT, 500)
    assert one.spans == [
        Span("<|im_start|>", 0.0, "special", False, 1),
        Span("user\n", 0.0, "template", False, one.spans[1].num_tokens),
        Span(f"alpha {EMOJI}", 0.0, "text", False, one.spans[2].num_tokens),
        Span("<|im_end|>", 0.0, "special", False, 1),
        Span("\n", 0.0, "template", False, 1),
        Span("<|im_start|>", 0.0, "special", False, 1),
        Span("assistant\n", 0.0, "template", False, one.spans[6].num_tokens),
        Span(EMOJI, 1.0, "text", False, one.spans[7].num_tokens),
        Span("<|im_end|>", 1.0, "special", False, 1),
        Span("\n", 0.0, "template", False, 1),
    ]
    assert one.num_trained == one.spans[7].num_tokens + 1
    assert (one.num_tokens, one.num_cut) == (sum(span.num_tokens for span in one.spans), 0)


@pytest.mark.parametrize("max_length", range(12, 60, 5))
def test_a_cut_loses_no_character_even_within_one(tiny: ChatFormat, max_length: int) -> None:
    row = {"messages": [{"role": "user", "content": EMOJI}, {"role": "assistant", "content": EMOJI}]}
    (whole,), (cut,) = view(tiny, row, RowKind.CHAT, 500), view(tiny, row, RowKind.CHAT, max_length)
    assert text_of(cut) == text_of(whole)
    assert cut.num_tokens == max_length
    assert cut.num_cut == whole.num_tokens - max_length
    assert [span.is_cut for span in cut.spans] == sorted(span.is_cut for span in cut.spans)
    trained = tiny.tokenize(row["messages"], max_length=max_length).weights
    assert cut.num_trained == sum(weight > 0 for weight in trained)


def test_weights_are_shown_and_neighbours_differ(tiny: ChatFormat) -> None:
    messages = [*CHAT[:2], {**CHAT[2], "weight": 0}, CHAT[3], {**CHAT[4], "weight": 0.5}]
    (one,) = view(tiny, {"messages": messages}, RowKind.CHAT, 500)
    assert text_of(one, weight=0.5) == CHAT[4]["content"] + "<|im_end|>"
    assert text_of(one, weight=1.0) == ""
    assert all((a.kind, a.weight, a.is_cut) != (b.kind, b.weight, b.is_cut) for a, b in pairwise(one.spans))


def test_a_preference_is_two_sequences_of_which_only_the_answers_count(tiny: ChatFormat) -> None:
    row = {
        "messages": CHAT[:4],
        "chosen": [{"role": "assistant", "content": "theta"}],
        "rejected": [{"role": "assistant", "content": "eta"}],
    }
    chosen, rejected = view(tiny, row, RowKind.PREFERENCE, 500)
    assert (chosen.name, rejected.name) == ("chosen", "rejected")
    assert text_of(chosen, weight=1.0) == "theta<|im_end|>"
    assert text_of(rejected, weight=1.0) == "eta<|im_end|>"


def test_of_a_text_all_but_its_first_token_is_trained(tiny: ChatFormat) -> None:
    (one,) = view(tiny, {"text": f"alpha <|im_end|> {EMOJI}"}, RowKind.TEXT, 500)
    assert text_of(one, kind="text") == f"alpha <|im_end|> {EMOJI}"
    assert one.num_cut == 0
    assert one.num_trained == one.num_tokens - 1
    assert one.spans[-1] == Span("<|im_end|>", 1.0, "special", False, 1)


@pytest.mark.parametrize("kind", list(RowKind))
def test_the_page_and_the_trainer_agree(tiny: ChatFormat, kind: RowKind) -> None:
    row = {
        RowKind.CHAT: {"messages": CHAT},
        RowKind.PREFERENCE: {"messages": CHAT[:2], "chosen": [CHAT[2]], "rejected": [CHAT[4]]},
        RowKind.TEXT: {"text": f"alpha beta {EMOJI}"},
    }[kind]
    max_length = 20 if kind is RowKind.TEXT else view(tiny, row, kind, 500)[0].num_tokens - 5
    encoded = encode_lines([json.dumps(row)], kind=kind, chat_format=tiny, max_length=max_length)
    views = view(tiny, row, kind, max_length)
    assert sum(one.num_tokens for one in views) == sum(encoded.lengths)
    weights = [span.weight for one in views for span in one.spans for _ in range(span.num_tokens) if not span.is_cut]
    assert weights == encoded.weights.tolist()


@pytest.mark.tokenizers
@pytest.mark.parametrize("family", WITH_TOOLS)
def test_calls_are_text_and_definitions_are_the_templates(format_of: FormatOf, family: str) -> None:
    (one,) = view(format_of(family), {"messages": CALLS, "tools": TOOLS}, RowKind.CHAT, 5000)
    assert "Height of the tide" in text_of(one, kind="template")
    # a tool's result too, as JSON where the template says so
    assert "metres" in text_of(one, kind="text", weight=0.0)
    assert text_of(one, kind="text", weight=1.0).count("find_tide") == 2
    assert "Be brief." not in text_of(one)


def test_a_view_is_quick(family: str, format_of: FormatOf) -> None:
    chat_format, row = format_of(family), {"messages": CHAT}
    view(chat_format, row, RowKind.CHAT, 500)
    seconds = []
    for _ in range(20):
        start = time.process_time()
        view(chat_format, row, RowKind.CHAT, 500)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.005


def test_it_needs_no_ml_library() -> None:
    code = (
        "import sys, worker.training.data.learning_view, worker.training.data.encoding;"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
