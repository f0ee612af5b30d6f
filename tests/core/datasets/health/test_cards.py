import pytest

from core.datasets.health import fixed
from core.datasets.health.cards import has_card_number, mask_card_numbers
from core.datasets.rows import question_and_answer as ask


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


def test_a_card_number_is_masked_and_nothing_else_is_touched() -> None:
    assert (
        mask_card_numbers("order 1234567890123, card 4111 1111 1111 1111.")
        == "order 1234567890123, card [card number]."
    )
    row = ask("My card is 4111-1111-1111-1111", "Thank you")
    assert fixed("card_number", row) == ask("My card is [card number]", "Thank you")
