import threading

import pytest

from core.backends.hints import HintSender
from tests.factories.waiting import eventually


def test_a_hint_that_waits_already_is_sent_once() -> None:
    go_on = threading.Event()
    sent: list[str] = []

    def send(hint: str) -> None:
        go_on.wait(10)
        sent.append(hint)

    sender = HintSender("hints", send, (OSError,))
    sender.give("first")
    eventually(lambda: not sender._pending)
    for _ in range(50):
        sender.give("second")
        sender.give("third")
    go_on.set()
    assert sender.flush(5)
    assert sent == ["first", "second", "third"]


def test_what_is_too_much_is_dropped_and_never_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.backends.hints._MAX_PENDING", 3)
    go_on = threading.Event()
    sent: list[int] = []

    def send(hint: int) -> None:
        go_on.wait(10)
        sent.append(hint)

    sender = HintSender("hints", send, (OSError,))
    for n in range(100):
        sender.give(n)
    go_on.set()
    assert sender.flush(5)
    assert len(sent) <= 4


def test_a_stale_connection_costs_no_hint_and_an_outage_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    sent: list[str] = []
    num_failures = 1

    def send(hint: str) -> None:
        nonlocal num_failures
        if num_failures:
            num_failures -= 1
            raise ConnectionResetError("reset")
        sent.append(hint)

    sender = HintSender("hints", send, (OSError,))
    sender.give("a")
    assert sender.flush(5)
    assert sent == ["a"]
    assert caplog.records == []
    num_failures = 5
    for hint in "bcdef":
        sender.give(hint)
        assert sender.flush(5)
    assert sent == ["a", "f"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_bug_of_the_sender_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    def send(hint: str) -> None:
        if hint == "bad":
            raise TypeError("a bug")

    sender = HintSender("hints", send, (OSError,))
    sender.give("bad")
    assert sender.flush(5)
    sender.give("good")
    assert sender.flush(5)
    assert "could not be sent" in caplog.text


def test_an_idle_thread_ends_and_another_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.backends.hints._IDLE_S", 0.05)
    sent: list[str] = []
    sender = HintSender("hints", sent.append, (OSError,))
    sender.give("a")
    eventually(lambda: sender._thread is None)
    sender.give("b")
    assert sender.flush(5)
    assert sent == ["a", "b"]
