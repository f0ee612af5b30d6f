"""Answers that wait to be stored while somebody is forgotten."""

import logging
import threading
from collections.abc import Callable
from time import monotonic

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from core.config import Settings
from core.db.session import Database, workspace_scope
from core.erasures.models import Erasure
from core.erasures.repository import ErasureRepository
from core.erasures.withholding import Withholding
from core.kit.sealing import Sealer
from core.serving.completions import service as completions
from core.serving.completions.keeper import CompletionKeeper
from core.serving.completions.models import Completion
from core.serving.completions.types import NewCompletion
from tests.conftest import Headers
from tests.factories.completions import new_completion
from tests.factories.waiting import eventually

pytestmark = pytest.mark.stack

NAME = "Ada Lovelace"
SAID = [{"role": "user", "content": "Where is ADA lovelace?"}]


@pytest.fixture
def gate(settings: Settings) -> Withholding:
    return Withholding(settings.sealer())


class Forgetting:
    """An erasure, step by step, without its worker."""

    def __init__(self, client: TestClient, database: Database, workspace_id: str, headers: Headers) -> None:
        self._client, self._database, self._workspace_id, self._headers = client, database, workspace_id, headers
        self.id = str(client.post("/v1/erasures", headers=headers, json={"terms": [NAME]}).json()["id"])

    def confirm(self) -> None:
        answer = self._client.post(f"/v1/erasures/{self.id}/confirm", headers=self._headers)
        assert answer.status_code == 200, answer.text

    def finish(self) -> None:
        with self._database.session(workspace_scope(self._workspace_id)) as session:
            ErasureRepository(session, self._workspace_id).finish(session.get_one(Erasure, self.id))


@pytest.fixture
def forgetting(client: TestClient, database: Database, workspace_id: str, as_admin: Headers) -> Forgetting:
    return Forgetting(client, database, workspace_id, as_admin)


@pytest.fixture
def stored(database: Database, workspace_id: str) -> Callable[[], list[str]]:
    def look() -> list[str]:
        with database.session(workspace_scope(workspace_id)) as session:
            return list(session.scalars(select(Completion.id).order_by(Completion.id)))

    return look


def is_withheld(
    gate: Withholding, database: Database, workspace_id: str, said: object = SAID, asked_s: float | None = None
) -> bool:
    asked_s = monotonic() if asked_s is None else asked_s
    with database.session(workspace_scope(workspace_id)) as session:
        return gate(session, workspace_id=workspace_id, since_s=asked_s)(said, asked_s)


def test_a_search_withholds_nothing(
    gate: Withholding, database: Database, workspace_id: str, forgetting: Forgetting
) -> None:
    assert forgetting.id
    assert not is_withheld(gate, database, workspace_id)


def test_while_it_goes_on_what_names_the_person_is_withheld_and_the_rest_is_stored(
    gate: Withholding, database: Database, workspace_id: str, other_workspace_id: str, forgetting: Forgetting
) -> None:
    forgetting.confirm()
    before_s = monotonic() - 3600
    assert is_withheld(gate, database, workspace_id)
    assert is_withheld(gate, database, workspace_id, asked_s=before_s)
    for said in (new_completion("w", messages=SAID).said, new_completion("w", metadata={NAME: "1"}).said):
        assert is_withheld(gate, database, workspace_id, said)
    assert not is_withheld(gate, database, workspace_id, new_completion("w").said, asked_s=before_s)
    assert not is_withheld(gate, database, other_workspace_id)


def test_after_its_end_nothing_that_was_asked_before_is_stored(
    gate: Withholding, database: Database, workspace_id: str, other_workspace_id: str, forgetting: Forgetting
) -> None:
    forgetting.confirm()
    before_s = monotonic()
    forgetting.finish()
    # nobody knows any more what was looked for
    assert is_withheld(gate, database, workspace_id, "Hello", asked_s=before_s)
    assert is_withheld(gate, database, workspace_id, "Hello", asked_s=before_s - 3600)
    assert not is_withheld(gate, database, other_workspace_id, "Hello", asked_s=before_s)
    # in doubt it is withheld: what is asked in the moment of the end may be either
    after_s = monotonic() + 60
    assert not is_withheld(gate, database, workspace_id, asked_s=after_s)
    with database.session(workspace_scope(workspace_id)) as session:
        withholds = gate(session, workspace_id=workspace_id, since_s=before_s)
        assert (withholds("Hello", before_s), withholds("Hello", after_s)) == (True, False)


def test_an_erasure_whose_terms_nobody_can_read_withholds_nothing_and_the_log_says_so(
    database: Database, workspace_id: str, forgetting: Forgetting, caplog: pytest.LogCaptureFixture
) -> None:
    forgetting.confirm()
    other = Withholding(Sealer.of_settings("", "another secret"))
    with caplog.at_level(logging.WARNING):
        assert not is_withheld(other, database, workspace_id)
    assert forgetting.id in caplog.text


def test_a_confirmation_waits_for_whoever_looked_before_it(
    gate: Withholding, database: Database, workspace_id: str, forgetting: Forgetting, stored: Callable[[], list[str]]
) -> None:
    confirming = threading.Thread(target=forgetting.confirm)
    with database.session(workspace_scope(workspace_id)) as session:
        withholds = gate(session, workspace_id=workspace_id, since_s=monotonic())
        confirming.start()
        eventually(lambda: _waits_for_a_lock(database, workspace_id))
        assert not withholds(SAID, monotonic())
        completions.keep(session, new_completion(workspace_id, "chatcmpl-early", messages=SAID))
    confirming.join(60)
    assert not confirming.is_alive()
    # so that the worker, which begins after the confirmation, finds it
    assert stored() == ["chatcmpl-early"]
    assert is_withheld(gate, database, workspace_id)


def _waits_for_a_lock(database: Database, workspace_id: str) -> bool:
    with database.session(workspace_scope(workspace_id)) as session:
        return bool(session.scalar(text("select count(*) from pg_locks where locktype = 'advisory' and not granted")))


class Outage:
    """The database stores no answer until it is over."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_over = False
        self.tried = threading.Event()
        self._keep = completions.keep
        monkeypatch.setattr(completions, "keep", self._try)

    def _try(self, session: Session, new: NewCompletion) -> None:
        if not self.is_over:
            self.tried.set()
            raise OperationalError("insert", {}, Exception("the server closed the connection"))
        self._keep(session, new)


@pytest.mark.parametrize("ends", [False, True], ids=["begins", "begins and ends"])
def test_what_waited_for_the_database_while_an_erasure_passed_is_not_stored(
    gate: Withholding,
    database: Database,
    workspace_id: str,
    forgetting: Forgetting,
    stored: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    ends: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    outage = Outage(monkeypatch)
    keeper = CompletionKeeper(database, gate=gate, pause_s=0.01)
    keeper.give(new_completion(workspace_id, "chatcmpl-ada", messages=SAID))
    assert outage.tried.wait(60)
    forgetting.confirm()
    if ends:
        forgetting.finish()
    outage.is_over = True
    keeper.give(new_completion(workspace_id, "chatcmpl-later", asked_s=monotonic() + 60))
    assert keeper.flush(timeout_s=60)
    assert (stored(), keeper.num_lost) == (["chatcmpl-later"], 0)
