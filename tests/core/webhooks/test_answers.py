import time
from datetime import timedelta
from email.utils import format_datetime

import pytest

from core.kit.clock import utc_now
from core.webhooks.answers import MAX_BYTES, excerpt, retry_after_s


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"", None),
        (b"ok\r\n", "ok\n"),
        ("Grüße".encode(), "Grüße"),
        (b"a\x00b\x1bc\xff", "a�b�c�"),
        (b'{"password": "hunter2", "n": 1}', '{"password": "[redacted]", "n": 1}'),
        (b"Authorization: Bearer abc.def-ghi\nnext", "Authorization: Bearer [redacted]\nnext"),
        (b"you sent whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODk=", "you sent whsec_[redacted]"),
    ],
)
def test_an_answer_is_kept_as_text_without_what_looks_like_a_secret(body: bytes, kept: str | None) -> None:
    assert excerpt(body) == kept


def test_no_more_than_the_beginning_is_kept() -> None:
    assert excerpt(b"x" * 5000) == "x" * MAX_BYTES
    # cut in the middle of a character
    assert excerpt(b"x" * (MAX_BYTES - 1) + "ü".encode()) == "x" * (MAX_BYTES - 1) + "�"


@pytest.mark.parametrize("piece", [b"token", b"token-", b"secret'", b'"', b"eyJaaaaaaaa.", b"password: ", b"v1,", b"-"])
def test_an_answer_made_to_be_slow_is_not(piece: bytes) -> None:
    began = time.monotonic()
    excerpt(piece * MAX_BYTES)
    assert time.monotonic() - began < 0.5


@pytest.mark.parametrize(
    ("status", "given", "seconds"),
    [
        (429, "120", 120),
        (503, " 1.5 ", 1.5),
        (429, "0", 0),
        (429, "-5", 0),
        (429, "99999999", 24 * 3600),
        (429, "soon", None),
        (429, "nan", None),
        (429, "", None),
        (200, "120", None),
        (500, "120", None),
    ],
)
def test_a_wait_is_honoured_where_calls_are_too_many(status: int, given: str, seconds: float | None) -> None:
    assert retry_after_s(status, {"retry-after": given}) == seconds


def test_a_wait_may_be_a_date() -> None:
    then = format_datetime(utc_now() + timedelta(minutes=2), usegmt=True)
    assert retry_after_s(504, {"retry-after": then}) == pytest.approx(120, abs=3)
    assert retry_after_s(504, {"retry-after": format_datetime(utc_now() - timedelta(minutes=2), usegmt=True)}) == 0
