"""Personal data: what a model should not learn, for it may repeat it to anybody.

Precision goes first: whatever has no check digit, no unmistakable form and no word beside it that says what it is is
passed over, since who is warned in vain a few times reads no warning any more. Names of people are not looked for.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import phonenumbers
from stdnum import iban, luhn

from core.datasets.health.detector import Detector, Look, Rule
from core.datasets.health.national_ids import national_id_spans
from core.datasets.types import Fix, Problem, Severity

Span = tuple[int, int]
_REMOVE = "Remove it: a model may repeat what it learned to anybody."


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort of personal data: where it stands in a text, and what stands there once it is masked."""

    rule: Rule
    spans: Callable[[str], Iterable[Span]]
    placeholder: str

    def mask(self, text: str) -> str:
        for start, end in sorted(self.spans(text), reverse=True):
            text = text[:start] + self.placeholder + text[end:]
        return text


# 13 to 19 digits, in groups or not, that are not part of a longer number
_CARD = re.compile(r"(?<![\d.,-])[3-6](?:[ -]?\d){12,18}(?![\d-])")


def card_spans(text: str) -> Iterator[Span]:
    """Right length, right beginning, right check digit (Luhn)."""
    for found in _CARD.finditer(text):
        digits = re.sub(r"\D", "", found.group())
        if len(set(digits)) > 1 and luhn.is_valid(digits):
            yield found.span()


_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")


def iban_spans(text: str) -> Iterator[Span]:
    for found in _IBAN.finditer(text):
        written = found.group()
        # a word in capitals may follow: without the last groups it may be one
        while len(written) >= 15:  # noqa: PLR2004 - the shortest IBAN
            if iban.is_valid(written, check_country=False):
                yield found.start(), found.start() + len(written)
                break
            written = written.rpartition(" ")[0]


_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}(?![\w-])")
_NOT_A_PERSON = frozenset({
    "abuse", "accounts", "accounting", "admin", "billing", "bestellung", "booking", "careers", "contact",
    "customerservice", "datenschutz", "feedback", "hello", "help", "helpdesk", "hi", "hotline", "hr", "info",
    "infos", "it", "jobs", "kontakt", "mail", "marketing", "news", "newsletter", "noreply", "no-reply", "office",
    "orders", "postmaster", "press", "presse", "privacy", "reception", "reply", "returns", "sales", "security",
    "service", "shop", "spam", "support", "team", "tech", "user", "username", "webmaster", "you", "yourname",
    "name", "firstname.lastname", "vorname.nachname", "max.mustermann", "john.doe", "jane.doe", "someone", "email",
})  # fmt: skip
_RESERVED_DOMAIN = re.compile(
    r"(?:^|\.)(?:example\.\w+|beispiel\.\w+|test|invalid|localhost|local)$|^(?:domain|company|firma|yourcompany)\.\w+$"
)


def email_spans(text: str) -> Iterator[Span]:
    """Addresses of people; those of a desk (info@, support@) and made-up ones are nobody's."""
    if "@" not in text:
        return
    for found in _EMAIL.finditer(text):
        local, _, domain = found.group().casefold().partition("@")
        # user:password@host is a secret of its own
        is_in_address = "://" in text[: found.start()].rpartition(" ")[2]
        if not is_in_address and local not in _NOT_A_PERSON and not _RESERVED_DOMAIN.search(domain):
            yield found.span()


# a number that says so of itself (+49 …), or one behind a word for a telephone
_SAYS_PHONE: Final = (
    r"(?:tel|telefon|telefonnummer|phone|phone number|mobile|mobil|mobilnummer|handy|handynummer|cell|fax|"
    r"call me at|call me on|reach me at|reach me on|ring|tél|téléphone|portable|teléfono|móvil|telefono|cellulare)"
)
_PHONE_WORD = re.compile(rf"(?<!\w){_SAYS_PHONE}(?:\.|\b)[^\d\n+(]{{0,12}}(?=[0(\d])", re.IGNORECASE)
_PHONE_FORM = re.compile(r"\+\d|\(\d|\b\d[\d /().-]{5,}\d")
_INTERNATIONAL = re.compile(r"(?<![\w+])\+\d[\d ()./-]{6,20}\d")
_REGIONS = ("US", "DE", "GB", "FR", "ES", "IT", "AT", "CH", "NL")
_MAX_PHONE_CHARS = 24


def phone_spans(text: str) -> Iterator[Span]:
    if not _PHONE_FORM.search(text):
        return
    for found in _INTERNATIONAL.finditer(text):
        if _is_phone(found.group(), None):
            yield found.span()
    for word in _PHONE_WORD.finditer(text):
        written = re.match(r"[\d (][\d ()/.-]{5,20}\d", text[word.end() : word.end() + _MAX_PHONE_CHARS])
        if written and any(_is_phone(written.group(), region) for region in _REGIONS):
            yield word.end(), word.end() + written.end()


def _is_phone(written: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(written, region))
    except phonenumbers.NumberParseException:
        return False


_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)")
_SAYS_VERSION = re.compile(
    r"(?:\bv|version|release|firmware|build|driver|treiber|section|chapter|kapitel|abschnitt|§|clause|oid)\W{0,3}$",
    re.IGNORECASE,
)
_MAX_SECTION = 32


def ip_spans(text: str) -> Iterator[Span]:
    """Public addresses only; four numbers that are all small are a version or a section of a document."""
    for found in _IPV4.finditer(text):
        try:
            address = ipaddress.IPv4Address(found.group())
        except ValueError:
            continue
        is_small = max(address.packed) < _MAX_SECTION
        if (
            address.is_global
            and not is_small
            and not _SAYS_VERSION.search(text[max(found.start() - 20, 0) : found.start()])
        ):
            yield found.span()


def _rule(code: str, what: str, cause: str, advice: str = _REMOVE) -> Rule:
    return Rule(
        code=code,
        severity=Severity.WARNING,
        one=f"1 example contains what looks like {what}.",
        many=f"{{count}} examples contain what looks like {what}.",
        cause=cause,
        advice=advice,
        fixes=(Fix.MASK, Fix.LEAVE_OUT),
    )


CARD_NUMBER = _rule("card_number", "a card number", "There is what looks like a payment card's number.")
SORTS: Final = (
    Sort(CARD_NUMBER, card_spans, "[card number]"),
    Sort(
        _rule("iban", "a bank account (IBAN)", "There is a bank account's number (IBAN)."), iban_spans, "[bank account]"
    ),
    Sort(
        _rule(
            "national_id", "a personal identity number", "There is what looks like a person's identity or tax number."
        ),
        national_id_spans,
        "[identity number]",
    ),
    Sort(_rule("email", "a person's mail address", "There is a person's mail address."), email_spans, "[mail address]"),
    Sort(_rule("phone_number", "a telephone number", "There is a telephone number."), phone_spans, "[phone number]"),
    Sort(
        _rule("ip_address", "an internet address (IP)", "There is a public internet address (IP)."),
        ip_spans,
        "[IP address]",
    ),
)
_HAS_DIGITS = re.compile(r"\d\D{0,2}\d\D{0,2}\d")


class PersonalData(Detector):
    rules = tuple(sort.rule for sort in SORTS)

    def problems(self, row: Look) -> Iterable[Problem]:
        text = row.words
        has_digits = _HAS_DIGITS.search(text) is not None
        for sort in SORTS:
            if (has_digits or sort.spans is email_spans) and next(iter(sort.spans(text)), None) is not None:
                yield sort.rule.problem(row.number)
