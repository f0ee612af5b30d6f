"""Personal data and secrets: what is one, and what only looks like one. False alarms are worse than none."""

import pytest

from core.datasets.health import fixed
from core.datasets.health.personal import SORTS
from core.datasets.health.secrets import mask_secrets, secret_spans
from core.datasets.rows import question_and_answer as ask
from core.datasets.types import Message, RowContent
from tests.core.datasets.health.checked import check, codes_of_answer

BY_CODE = {sort.rule.code: sort for sort in SORTS}
# forms of keys, put together here so that nobody's scanner takes them for real ones
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
GITHUB = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
STRIPE = "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"
JWT = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxIn0." + "abcDEF123"

POSITIVES = {
    "card_number": [
        "4111 1111 1111 1111",
        "my card: 5500-0000-0000-0004.",
        "378282246310005",
        "(6011000990139424)",
    ],
    "iban": [
        "Please pay to DE89 3704 0044 0532 0130 00.",
        "GB29NWBK60161331926819",
        "IBAN: FR14 2004 1010 0505 0001 3M02 606",
        "DE89 3704 0044 0532 0130 00 BITTE SOFORT",
    ],
    "national_id": [
        "My SSN is 536-90-4399.",
        "RCCMNL83S18D969H",
        "Her CPF: 390.533.447-05",
        "AHV 756.9217.0769.85",
        "DNI 54362315K",
        "Meine Steuer-ID lautet 36 574 261 809",
        "PESEL 44051401359",
    ],
    "email": ["Write to anna.schmidt@praxis-lange.de.", "j.o'hara+x@gmail.com"],
    "phone_number": [
        "Call +49 30 901820 today",
        "Tel. 030 901820",
        "Phone: (202) 456-1111",
        "+1 202-456-1111",
    ],
    "ip_address": ["It came from 93.184.216.34 last night.", "server 8.8.8.8 and 142.250.74.110"],
}
# order numbers, dates, versions, prices, sizes, article numbers, codes of things
HARD_NEGATIVES = [
    "order 1234567890123",
    "4111 1111 1111 1112",
    "1.4111111111111111",
    "41111111111111111111111",
    "0000 0000 0000 0000",
    "Your order 2024-0012-3345 of 12.03.2024 was shipped on 2024-03-15T10:22:31.",
    "Version 10.0.19045.3803 and v1.2.3.4, build 192.168.100.7",
    "See section 4.3.2.1 and § 12.1.3.2 of the contract",
    "The router is at 192.168.0.1, the printer at 10.1.20.30, localhost is 127.0.0.1",
    "Invoice 20240315-00042, customer 100200300, amount 1.234.567,89 EUR",
    "ISBN 978-3-16-148410-0, EAN 4006381333931",
    "Part no. 536-90-4399 fits, too",
    "Article 12345678Z is sold out",
    "Our number is in the book; ring the bell at number 1234567",
    "From 08:00 to 17:30, Monday 1 to Friday 5, room 0301",
    "Write to info@praxis-lange.de or support@example.com or noreply@shop.de",
    "user@example.com is an example, so is max.mustermann@beispiel.de",
    "DE12 BAHN NACH KOELN 2024 ABFAHRT",
    "Track it with 00340434161094015902 or 1Z999AA10123456784",
    "3.14159265358979323846",
    "The population grew from 1 200 345 to 1 350 221 within 10 years",
    "Dimensions 1200 x 800 x 2000 mm, weight 1250 kg, 380-400 V",
    "call 555-0100",
    "GPS 52.5200, 13.4050; colour #4111ff; 2001:db8::1",
    "Steuer-ID und IBAN stehen auf dem Bescheid",
    "The phone costs 499 and the mobile plan 12 months",
    "Telefonnummer: siehe Aushang 2024",
    "12-345678 is the file, 123456-7890 the other",
]


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, texts in POSITIVES.items() for text in texts])
def test_what_is_personal_is_found_and_masked_for_good(code: str, text: str) -> None:
    assert code in codes_of_answer(text)
    masked = fixed(code, ask("Who?", text))
    assert masked is not None
    assert BY_CODE[code].placeholder in (masked.messages[1]["content"] or "")
    assert code not in check([masked])[0][0]


@pytest.mark.parametrize("text", HARD_NEGATIVES)
def test_what_only_looks_like_it_raises_no_alarm(text: str) -> None:
    assert codes_of_answer(text) == []


def test_only_what_was_found_is_masked_wherever_it_stands() -> None:
    call = Message(
        role="assistant",
        content=None,
        tool_calls=[{"type": "function", "function": {"name": "pay", "arguments": '{"card": "4111 1111 1111 1111"}'}}],
    )
    row = RowContent(messages=[Message(role="user", content="order 1234567890123, 4111-1111-1111-1111."), call])
    masked = fixed("card_number", row)
    assert masked is not None
    assert masked.messages[0]["content"] == "order 1234567890123, [card number]."
    assert masked.messages[1]["tool_calls"][0]["function"]["arguments"] == '{"card": "[card number]"}'
    assert row.messages[0]["content"] == "order 1234567890123, 4111-1111-1111-1111."


@pytest.mark.parametrize(
    "text",
    [
        f"export KEY={AWS}",
        f"token {GITHUB}",
        STRIPE,
        f"Authorization: Bearer {JWT}",
        "postgres://shop:s3cret-pass@db.internal/shop",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_a_secret_is_found_and_masked(text: str) -> None:
    assert codes_of_answer(text) == ["secret"]
    masked = mask_secrets(text)
    assert "[secret]" in masked
    assert next(secret_spans(masked), None) is None
    assert not any(secret in masked for secret in (AWS, GITHUB, STRIPE, JWT, "s3cret-pass", "MIIE"))


@pytest.mark.parametrize(
    "text",
    [
        "password: choose a new one on the page",
        "Your ticket AKIA-2024 and the glossary of gloves",
        "https://example.org/path?user=a&key=b",
        "Mail ftp://ftp.example.org, then @support",
        "commit 3f34144c2b7be4d3f6b2f1a0c9d8e7f6a5b4c3d2",
        "d41d8cd98f00b204e9800998ecf8427e",
        "postgres://user:<password>@host/db and redis://:{password}@host",
        "eyJhbGciOiJIUzI1NiJ9",
        "A private key stays private; never send a PRIVATE KEY by mail.",
        "ACCOUNT SKETCH SG.2 xoxo",
    ],
)
def test_what_only_looks_like_a_secret_raises_no_alarm(text: str) -> None:
    assert codes_of_answer(text) == []
