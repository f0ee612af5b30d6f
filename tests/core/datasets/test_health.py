import pytest

from core.datasets.health import Repetition, example_digest, has_card_number
from core.datasets.types import Message


def ask(question: str, answer: str) -> list[Message]:
    return [Message(role="user", content=question), Message(role="assistant", content=answer)]


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
    for row, messages in enumerate([ask("a", "b"), ask("c", "d"), ask("a", "b"), ask("a", "b")], start=2):
        repetition.add(row, messages)
    assert repetition.num_duplicates == 2
    assert repetition.num_contradictions == 0
    assert repetition.problem(2, ask("a", "b")) is None
    found = repetition.problem(4, ask("a", "b"))
    assert found is not None
    assert (found.code, found.row) == ("duplicate", 4)
    assert "row 2" in found.cause


def test_one_question_with_two_answers_is_a_contradiction_however_it_is_written() -> None:
    repetition = Repetition()
    for row, messages in enumerate([ask("Open today?", "Yes"), ask(" open  TODAY?", "No"), ask("Where?", "Here")]):
        repetition.add(row, messages)
    assert repetition.num_contradictions == 1
    assert repetition.problem(2, ask("Where?", "Here")) is None
    assert all(
        (found := repetition.problem(row, messages)) and found.code == "contradiction"
        for row, messages in enumerate([ask("Open today?", "Yes"), ask(" open  TODAY?", "No")])
    )


def test_an_answer_that_differs_only_in_case_is_no_contradiction() -> None:
    repetition = Repetition()
    repetition.add(2, ask("Open?", "Yes"))
    repetition.add(3, ask("Open?", "yes "))
    assert repetition.num_contradictions == 0


def test_words_cannot_move_between_messages_unnoticed() -> None:
    assert example_digest(ask("ab", "c")) != example_digest(ask("a", "bc"))
