import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pytest
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.orm import Session

from core.db.session import Database, Scope
from core.serving.completions import service as completions
from core.serving.completions.keeper import CompletionKeeper
from core.serving.completions.types import NewCompletion
from tests.factories.completions import new_completion, open_gate


class NoDatabase:
    """Sessions on nothing: what is stored there is said by the test."""

    @contextmanager
    def session(self, _scope: Scope) -> Iterator[Session]:
        yield Session()


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids that were stored; a database is not needed for it."""
    found: list[str] = []
    monkeypatch.setattr(completions, "keep", lambda _, new: found.append(new.id))
    return found


@pytest.fixture
def database() -> Database:
    return cast("Database", NoDatabase())


def outage(monkeypatch: pytest.MonkeyPatch, stored: list[str], *, num_failures: int) -> threading.Event:
    """The database is away for as many tries; the event says that it was tried once."""
    tried = threading.Event()
    left = [num_failures]

    def keep(_: Session, new: NewCompletion) -> None:
        tried.set()
        if left[0]:
            left[0] -= 1
            raise OperationalError("insert", {}, Exception("the server closed the connection"))
        stored.append(new.id)

    monkeypatch.setattr(completions, "keep", keep)
    return tried


def test_all_are_stored_in_their_order(database: Database, stored: list[str]) -> None:
    keeper = CompletionKeeper(database, gate=open_gate)
    for number in range(5):
        keeper.give(new_completion("w", f"chatcmpl-{number}"))
    assert keeper.flush(timeout_s=10)
    assert stored == [f"chatcmpl-{number}" for number in range(5)]
    assert keeper._num_bytes == 0


def test_what_the_database_misses_is_stored_when_it_is_back(
    database: Database, stored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = outage(monkeypatch, stored, num_failures=3)
    keeper = CompletionKeeper(database, gate=open_gate, pause_s=0.01)
    keeper.give(new_completion("w", "chatcmpl-1"))
    assert tried.wait(10)
    keeper.give(new_completion("w", "chatcmpl-2"))
    assert keeper.flush(timeout_s=10)
    assert stored == ["chatcmpl-1", "chatcmpl-2"]


def test_patience_ends_and_the_log_names_what_is_lost_without_a_word_of_it(
    database: Database, stored: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    outage(monkeypatch, stored, num_failures=10**6)
    keeper = CompletionKeeper(database, gate=open_gate, pause_s=0.01, patience_s=0.05)
    keeper.give(new_completion("w", "chatcmpl-1", messages=[{"role": "user", "content": "my secret"}]))
    assert keeper.flush(timeout_s=10)
    assert stored == []
    assert "chatcmpl-1" in caplog.text
    assert "secret" not in caplog.text


def test_more_than_fits_is_dropped_and_said(
    database: Database, stored: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = outage(monkeypatch, stored, num_failures=1)
    keeper = CompletionKeeper(database, gate=open_gate, max_bytes=5000, pause_s=0.2)
    large = [{"role": "user", "content": "a" * 3000}]
    keeper.give(new_completion("w", "chatcmpl-1", messages=large))
    assert tried.wait(10)
    with caplog.at_level(logging.ERROR):
        keeper.give(new_completion("w", "chatcmpl-2", messages=large))
    assert "chatcmpl-2" in caplog.text
    assert keeper.flush(timeout_s=10)
    assert stored == ["chatcmpl-1"]


def test_one_that_cannot_be_stored_does_not_stop_the_others(
    database: Database, stored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def keep(_: Session, new: NewCompletion) -> None:
        if new.id == "chatcmpl-1":
            raise ValueError
        stored.append(new.id)

    monkeypatch.setattr(completions, "keep", keep)
    keeper = CompletionKeeper(database, gate=open_gate)
    for number in (1, 2):
        keeper.give(new_completion("w", f"chatcmpl-{number}"))
    assert keeper.flush(timeout_s=10)
    assert stored == ["chatcmpl-2"]


def test_what_no_waiting_helps_is_given_up_at_once(
    database: Database, stored: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def keep(_: Session, new: NewCompletion) -> None:
        if new.id == "chatcmpl-1":
            raise DataError("insert", {}, Exception("a number is out of range"))
        stored.append(new.id)

    monkeypatch.setattr(completions, "keep", keep)
    keeper = CompletionKeeper(database, gate=open_gate, pause_s=60)
    for number in (1, 2):
        keeper.give(new_completion("w", f"chatcmpl-{number}"))
    assert keeper.flush(timeout_s=10)
    assert stored == ["chatcmpl-2"]
    assert "chatcmpl-1" in caplog.text


def test_waiting_for_one_does_not_wait_for_the_others(
    database: Database, stored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outage(monkeypatch, stored, num_failures=10**6)
    keeper = CompletionKeeper(database, gate=open_gate, pause_s=0.05, patience_s=0.5)
    keeper.give(new_completion("w", "chatcmpl-1"))
    assert keeper.wait_for("chatcmpl-2", timeout_s=0)
    assert not keeper.wait_for("chatcmpl-1", timeout_s=0.01)
    assert keeper.wait_for("chatcmpl-1", timeout_s=10)


def test_those_that_wait_are_stored_together_and_one_that_cannot_be_takes_no_other_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In one transaction a workspace, then each in its own."""
    opened, stored = [], []
    first_is_tried, may_go_on = threading.Event(), threading.Event()

    class Counted:
        @contextmanager
        def session(self, scope: Scope) -> Iterator[Session]:
            opened.append(scope.workspace_id)
            yield Session()

    def keep(_: Session, new: NewCompletion) -> None:
        first_is_tried.set()
        may_go_on.wait(10)
        if new.id == "bad":
            raise DataError("insert", {}, Exception("no"))
        stored.append(new.id)

    monkeypatch.setattr(completions, "keep", keep)
    keeper = CompletionKeeper(cast("Database", Counted()), gate=open_gate)
    keeper.give(new_completion("w", "first"))
    assert first_is_tried.wait(10)
    for completion_id in ("a", "b"):
        keeper.give(new_completion("w", completion_id))
    keeper.give(new_completion("other", "c"))
    keeper.give(new_completion("other", "bad"))
    may_go_on.set()
    assert keeper.flush(timeout_s=10)
    assert (opened, keeper.num_lost) == (["w", "w", "other", "other", "other"], 1)
    assert stored == ["first", "a", "b", "c", "c"]


def test_nobody_waits_for_the_answers_of_another_workspace(
    database: Database, stored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    may_store = threading.Event()
    monkeypatch.setattr(completions, "keep", lambda _, new: may_store.wait(10) and stored.append(new.id))
    keeper = CompletionKeeper(database, gate=open_gate)
    keeper.give(new_completion("busy", "chatcmpl-0"))
    assert keeper.flush(timeout_s=0, workspace_id="w")
    assert not keeper.flush(timeout_s=0, workspace_id="busy")
    keeper.give(new_completion("w", "chatcmpl-1"))
    assert not keeper.flush(timeout_s=0, workspace_id="w")
    may_store.set()
    assert keeper.flush(timeout_s=10)
    assert stored == ["chatcmpl-0", "chatcmpl-1"]


def test_what_is_given_meanwhile_is_not_waited_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nobody could wait where answers come all the time."""
    keeper = CompletionKeeper(database, gate=open_gate)
    given, over = iter(range(1, 1_000_000)), threading.Event()

    def keep(_: Session, _new: NewCompletion) -> None:
        if not over.is_set():
            keeper.give(new_completion("w", f"chatcmpl-{next(given)}"))

    monkeypatch.setattr(completions, "keep", keep)
    keeper.give(new_completion("w", "chatcmpl-0"))
    assert keeper.flush(timeout_s=10, workspace_id="w")
    over.set()
    assert keeper.flush(timeout_s=10)
