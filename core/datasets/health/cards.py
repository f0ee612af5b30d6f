"""Payment cards' numbers."""

import re
from collections.abc import Iterable

from stdnum import luhn

from core.datasets.health.detector import Detector, Look, Rule
from core.datasets.types import Fix, Problem, Severity

CARD_NUMBER = Rule(
    code="card_number",
    severity=Severity.WARNING,
    one="1 example contains what looks like a card number.",
    many="{count} examples contain what looks like a card number.",
    cause="There is what looks like a payment card's number.",
    advice="Remove it: a model may repeat what it learned to anybody.",
    fixes=(Fix.MASK, Fix.LEAVE_OUT),
)
# 13 to 19 digits, in groups or not, that are not part of a longer number
_CARD = re.compile(r"(?<![\d.,-])[3-6](?:[ -]?\d){12,18}(?![\d-])")


class CardNumbers(Detector):
    rules = (CARD_NUMBER,)

    def problems(self, row: Look) -> Iterable[Problem]:
        if has_card_number(row.words):
            yield CARD_NUMBER.problem(row.number)


def has_card_number(text: str) -> bool:
    """Whether a run of digits could be a payment card's: right length, right beginning, right check digit (Luhn)."""
    return any(_is_card(found.group()) for found in _CARD.finditer(text))


def mask_card_numbers(text: str) -> str:
    return _CARD.sub(lambda found: "[card number]" if _is_card(found.group()) else found.group(), text)


def _is_card(written: str) -> bool:
    digits = re.sub(r"\D", "", written)
    return len(set(digits)) > 1 and luhn.is_valid(digits)
