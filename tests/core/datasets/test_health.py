import pytest

from core.datasets.health import Repetition, content_digest, has_card_number
from core.datasets.rows import question_and_answer as ask
from core.datasets.types import Message, RowContent


def prefer(chosen: str, rejected: str, *, prompt: str = "Which?") -> RowContent:
    return RowContent(
        messages=[Message(role="user", content=prompt)],
        chosen=[Message(role="assistant", content=chosen)],
        rejected=[Message(role="assistant", content=rejected)],
    )


@pytest.mark.parametrize(
    "text",
    ["4111 1111 1111 1111", "my card: 5500-0000-0000-0004.", "378282246310005", "(6011000990139424)"],
)
def test_a_card_number_is_found(text: str) -> None:
    assert has_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "order 1234567890123",
        "1.4111111111111111",
        "41111111111111111111111",
        "0000 0000 0000 0000",
        "call 555-0100",
    ],
)
def test_other_numbers_are_not_card_numbers(text: str) -> None:
    assert not has_card_number(text)


def test_what_is_said_twice_is_counted_and_points_to_the_first() -> None:
    repetition = Repetition()
    for row, content in enumerate([ask("a", "b"), ask("c", "d"), ask("a", "b"), ask("a", "b")], start=2):
        repetition.add(row, content)
    assert repetition.num_duplicates == 2
    assert repetition.num_contradictions == 0
    assert repetition.problem(2, ask("a", "b")) is None
    found = repetition.problem(4, ask("a", "b"))
    assert found is not None
    assert (found.code, found.row) == ("duplicate", 4)
    assert "row 2" in found.cause


def test_one_question_with_two_answers_is_a_contradiction_however_it_is_written() -> None:
    repetition = Repetition()
    for row, content in enumerate([ask("Open today?", "Yes"), ask(" open  TODAY?", "No"), ask("Where?", "Here")]):
        repetition.add(row, content)
    assert repetition.num_contradictions == 1
    assert repetition.problem(2, ask("Where?", "Here")) is None
    assert all(
        (found := repetition.problem(row, content)) and found.code == "contradiction"
        for row, content in enumerate([ask("Open today?", "Yes"), ask(" open  TODAY?", "No")])
    )


def test_an_answer_that_differs_only_in_case_is_no_contradiction() -> None:
    repetition = Repetition()
    repetition.add(2, ask("Open?", "Yes"))
    repetition.add(3, ask("Open?", "yes "))
    assert repetition.num_contradictions == 0


def test_words_cannot_move_between_messages_unnoticed() -> None:
    assert content_digest(ask("ab", "c")) != content_digest(ask("a", "bc"))


def test_the_digest_of_a_plain_conversation_is_what_it_always_was() -> None:
    """Else the same examples would be held out differently, and runs before and after could not be compared."""
    assert content_digest(ask("a", "b")).hex() == "98d81e4ddc349da257bf12e7e9dbc79f"


def test_whatever_is_learned_differently_is_another_row() -> None:
    plain = ask("a", "b")
    weighed = RowContent(messages=[plain.messages[0], Message(role="assistant", content="b", weight=0.5)])
    with_tools = RowContent(messages=plain.messages, tools=[{"type": "function", "function": {"name": "f"}}])
    rows = [plain, weighed, with_tools, prefer("a", "b"), prefer("b", "a"), prefer("ab", ""), RowContent(text="a")]
    assert len({content_digest(row) for row in rows}) == len(rows)


def test_a_pair_preferred_both_ways_round_is_a_contradiction_and_a_second_pair_is_none() -> None:
    repetition = Repetition()
    rows = [prefer("Yes", "No"), prefer("Yes", "Maybe"), prefer(" no ", "YES"), prefer("Left", "Right")]
    for row, content in enumerate(rows, start=1):
        repetition.add(row, content)
    assert repetition.num_contradictions == 1
    found = [repetition.problem(row, content) for row, content in enumerate(rows, start=1)]
    assert [problem.code if problem else None for problem in found] == ["contradiction", None, "contradiction", None]
    assert found[0] is not None
    assert "prefers the other one" in found[0].cause


def test_a_call_that_differs_contradicts_and_a_name_does_not() -> None:
    def call(arguments: str) -> Message:
        return Message(
            role="assistant",
            content=None,
            tool_calls=[{"type": "function", "function": {"name": "look_up", "arguments": arguments}}],
        )

    repetition = Repetition()
    asked, named = Message(role="user", content="Where?"), Message(role="user", content="Where?", name="Ann")
    repetition.add(1, RowContent(messages=[asked, call('{"id": 1}')]))
    repetition.add(2, RowContent(messages=[named, call('{"id": 1}')]))
    assert (repetition.num_duplicates, repetition.num_contradictions) == (0, 0)
    repetition.add(3, RowContent(messages=[asked, call('{"id": 2}')]))
    assert repetition.num_contradictions == 1


def test_a_text_said_twice_is_counted_and_contradicts_nothing() -> None:
    repetition = Repetition()
    for row in (1, 2):
        repetition.add(row, RowContent(text="The same words."))
    assert (repetition.num_duplicates, repetition.num_contradictions) == (1, 0)
    problem = repetition.problem(2, RowContent(text="The same words."))
    assert problem is not None
    assert problem.code == "duplicate"
