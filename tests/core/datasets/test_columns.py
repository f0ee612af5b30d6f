from typing import Any

import pytest

from core.datasets.columns import example_like_cell, refuse_unfit_mapping
from core.datasets.proposals import suggest_mapping
from core.datasets.types import Mapping
from core.errors import Invalid

ROWS = [[f"Where is my parcel number {number}?", "It left our house today."] for number in range(10)]


@pytest.mark.parametrize(
    ("names", "question", "answer", "system"),
    [
        (["question", "answer"], "question", "answer", None),
        (["Answer", "Question"], "Question", "Answer", None),
        (["prompt", "completion"], "prompt", "completion", None),
        (["system", "instruction", "output"], "instruction", "output", "system"),
        (["review", "label"], "review", "label", None),
        (["Customer question", "Agent reply"], "Customer question", "Agent reply", None),
        (["id", "q", "a"], "q", "a", None),
        (["what was said", "what we say"], "what was said", "what we say", None),
    ],
)
def test_columns_are_found_by_their_names_or_their_order(
    names: list[str], question: str, answer: str, system: str | None
) -> None:
    rows = [["word one"] * len(names)] * 3
    assert suggest_mapping(names, rows) == Mapping(question=question, answer=answer, system=system)


def test_numbers_dates_and_codes_are_no_texts() -> None:
    rows = [["17", "2026-11-02", "Where is it?", "A-1093", "On its way."] for _ in range(5)]
    assert suggest_mapping(["n", "when", "one", "ref", "two"], rows) == Mapping(
        question="one", answer="two", system=None, time="when"
    )


@pytest.mark.parametrize(
    ("name", "written", "is_proposed"),
    [
        ("Date", "28.11.2026", True),
        ("Created at", "2026-11-28T10:00:00Z", True),
        ("date", "next week", False),
        ("due date", "2026-11-28", False),
    ],
)
def test_when_an_example_was_written_is_proposed(name: str, written: str, is_proposed: bool) -> None:  # noqa: FBT001
    time = name if is_proposed else None
    pair = [["Where is it, please?", "It is on its way.", written]] * 5
    assert suggest_mapping(["question", "answer", name], pair) == Mapping(
        question="question", answer="answer", time=time
    )
    preference = [["Where is it?", "It is on its way.", "No idea, sorry.", written]] * 5
    assert suggest_mapping(["prompt", "chosen", "rejected", name], preference) == Mapping(
        question="prompt", chosen="chosen", rejected="rejected", time=time
    )


def test_without_two_texts_nothing_is_guessed() -> None:
    assert suggest_mapping(["n", "m"], [["1", "2"]] * 5) is None


@pytest.mark.parametrize(
    ("first", "rows"),
    [
        (["Where is my parcel?", "On its way."], [["Where is my money?", "In your account."]] * 5),
        (["What is 2 plus 2?", "4"], [["What is 3 plus 3?", "6"]] * 5),
        (["a wonderful phone", "positive"], [["a bad phone", "negative"], ["fine", "positive"], ["good", "positive"]]),
        (["word " * 20, "x"], [["other words " * 10, "y"]] * 5),
    ],
)
def test_a_first_row_that_is_an_example_is_noticed(first: list[str], rows: list[list[str]]) -> None:
    assert example_like_cell(first, rows) is not None


@pytest.mark.parametrize(
    "header",
    [
        ["question", "answer"],
        ["a", "b"],
        ["Frage", "Antwort"],
        ["Ticket text", "Our reply"],
        ["What is your question?", "What should we answer?"],
        ["What would you like to ask our helpful model today?", "Best answer"],
        ["1st", "2nd"],
        ["", "text"],
        ["Sprache 2026", "Antwort"],
    ],
)
def test_a_header_is_never_taken_for_an_example(header: list[str]) -> None:
    assert example_like_cell(header, ROWS) is None
    assert example_like_cell(header, [["short", "long"], ["yes", "no"], ["5", "6"]] * 4) is None
    # two exports joined: the header comes again
    assert example_like_cell(header, [*ROWS, header, header, *ROWS]) is None


class TestAMapping:
    def test_must_name_columns_that_are_there(self) -> None:
        with pytest.raises(Invalid) as refused:
            refuse_unfit_mapping(Mapping(question="a", answer="c", system=None), ["a", "b"])
        assert (refused.value.error_code, refused.value.param) == ("mapping_column_unknown", "mapping.answer")

    def test_cannot_use_one_column_twice(self) -> None:
        with pytest.raises(Invalid, match="same column"):
            refuse_unfit_mapping(Mapping(question="a", answer="a", system=None), ["a", "b"])

    def test_is_not_for_conversations(self) -> None:
        with pytest.raises(Invalid) as refused:
            refuse_unfit_mapping(Mapping(question="a", answer="b", system=None), [])
        assert refused.value.error_code == "mapping_not_needed"

    @pytest.mark.parametrize(
        ("mapping", "param"),
        [
            ({}, "question"),
            ({"question": "a"}, "answer"),
            ({"question": "a", "chosen": "b"}, "rejected"),
            ({"conversation": "a"}, "speaker"),
            ({"conversation": "a", "speaker": "b", "message": "c"}, "assistant_speakers"),
        ],
    )
    def test_must_say_all_that_its_way_needs(self, mapping: dict[str, str], param: str) -> None:
        with pytest.raises(Invalid) as refused:
            refuse_unfit_mapping(Mapping(**mapping), ["a", "b", "c"])
        assert (refused.value.error_code, refused.value.param) == ("mapping_incomplete", f"mapping.{param}")

    @pytest.mark.parametrize(
        ("mapping", "param"),
        [
            ({"text": "a", "answer": "b"}, "answer"),
            ({"question": "a", "answer": "b", "speaker": "c"}, "speaker"),
            ({"question": "a", "answer": "b", "chosen": "c", "rejected": "d"}, "answer"),
            ({"question": "a", "answer": "b", "assistant_speakers": ["agent"]}, "assistant_speakers"),
            ({"question": "a", "answer": "b", "system": "c", "system_text": "Be kind"}, "system_text"),
        ],
    )
    def test_is_of_one_way_only(self, mapping: dict[str, Any], param: str) -> None:
        with pytest.raises(Invalid) as refused:
            refuse_unfit_mapping(Mapping(**mapping), ["a", "b", "c", "d"])
        assert (refused.value.error_code, refused.value.param) == ("mapping_mixed", f"mapping.{param}")
