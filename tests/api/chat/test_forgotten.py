"""What is asked while a person is being forgotten: answered as ever, and not kept where it would bring them back."""

from collections.abc import AsyncIterator, Callable

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from core.db.session import SYSTEM, Database, workspace_scope
from core.erasures import service as erasures
from core.erasures.models import Erasure
from core.erasures.repository import ErasureRepository
from core.inference.types import ChatDelta, ChatRequest
from core.serving.completions.keeper import CompletionKeeper
from core.serving.completions.models import Completion
from core.workspaces.principal import Principal
from tests.api.chat.conftest import Ask
from tests.conftest import Headers
from tests.factories.inference import FakeInference

pytestmark = pytest.mark.stack

ADA = [{"role": "user", "content": "Where is Ada Lovelace?"}]
Step = Callable[[], None]


@pytest.fixture
def erasure_id(client: TestClient, as_admin: Headers) -> str:
    return str(client.post("/v1/erasures", headers=as_admin, json={"terms": ["Ada Lovelace"]}).json()["id"])


@pytest.fixture
def confirm(database: Database, principal: Principal, erasure_id: str) -> Step:
    def _confirm() -> None:
        with database.session(workspace_scope(principal.workspace_id)) as session:
            erasures.confirm(session, principal=principal, erasure_id=erasure_id)

    return _confirm


@pytest.fixture
def finish(database: Database, principal: Principal, erasure_id: str) -> Step:
    """As its worker does at last."""

    def _finish() -> None:
        with database.session(workspace_scope(principal.workspace_id)) as session:
            ErasureRepository(session, principal.workspace_id).finish(session.get_one(Erasure, erasure_id))

    return _finish


@pytest.fixture
def kept(database: Database, keeper: CompletionKeeper) -> Callable[[], list[str]]:
    def _kept() -> list[str]:
        assert keeper.flush(timeout_s=60)
        with database.session(SYSTEM) as session:
            return [one.id for one in session.query(Completion)]

    return _kept


def test_only_what_names_the_person_is_not_kept_while_they_are_removed(
    ask: Ask, confirm: Step, finish: Step, kept: Callable[[], list[str]], database: Database
) -> None:
    confirm()
    assert ask(store=True, messages=ADA).status_code == 200
    other = ask(store=True).json()["id"]
    assert kept() == [other]
    finish()
    with database.session(SYSTEM) as session:
        session.execute(text("update erasures set finished_at = finished_at - interval '1 minute'"))
    after = ask(store=True, messages=ADA).json()["id"]
    assert set(kept()) == {other, after}


def test_an_answer_that_is_spoken_while_an_erasure_passes_is_given_and_not_kept(
    ask: Ask,
    inference: FakeInference,
    confirm: Step,
    finish: Step,
    kept: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    speak = inference.stream

    def passing(request: ChatRequest) -> AsyncIterator[ChatDelta]:
        confirm()
        finish()
        return speak(request)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(inference, "stream", passing)
        answer = ask(store=True, messages=ADA)
    assert answer.json()["choices"][0]["message"]["content"] == "Hello there!"
    assert kept() == []
