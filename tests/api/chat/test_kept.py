"""Answers that were asked for with `store: true`."""

import threading
from collections.abc import Callable, Iterator

import openai
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from openai import OpenAI

from core.config import Settings
from core.db.session import SYSTEM, Database, workspace_scope
from core.errors import Unavailable
from core.serving.completions import service as completions
from core.serving.completions.keeper import CompletionKeeper
from core.serving.completions.models import Completion
from tests.api.chat.conftest import HELLO, Ask, Headers
from tests.factories.completions import new_completion
from tests.factories.inference import FakeInference

pytestmark = pytest.mark.stack

PATH = "/v1/chat/completions"
Keep = Callable[..., str]


@pytest.fixture
def keep(ask: Ask, keeper: CompletionKeeper) -> Keep:
    def _keep(**body: object) -> str:
        answer = ask(store=True, **body)
        assert answer.status_code == 200, answer.text
        assert keeper.flush(timeout_s=10)
        found: str = answer.json()["id"]
        return found

    return _keep


def rows(database: Database) -> list[Completion]:
    with database.session(SYSTEM) as session:
        return list(session.query(Completion))


class TestKeeping:
    def test_only_who_asks_for_it_has_answers_kept(self, ask: Ask, keep: Keep, database: Database) -> None:
        ask()
        ask(store=False, metadata={"a": "b"})
        kept = keep(metadata={"a": "b"}, user="u", seed=5)
        (row,) = rows(database)
        assert (row.id, row.user_metadata) == (kept, {"a": "b"})
        assert row.messages == HELLO
        assert row.parameters == {"seed": 5}

    def test_a_streamed_answer_is_kept_whole(
        self, ask: Ask, keeper: CompletionKeeper, client: TestClient, as_reviewer: Headers
    ) -> None:
        ask(store=True, stream=True, n=2)
        assert keeper.flush(timeout_s=10)
        (kept,) = client.get(PATH, headers=as_reviewer).json()["data"]
        assert [choice["message"]["content"] for choice in kept["choices"]] == ["Hello there!"] * 2
        assert kept["choices"][0]["finish_reason"] == "stop"

    def test_an_answer_that_broke_off_is_not_kept(
        self, ask: Ask, keeper: CompletionKeeper, inference: FakeInference, database: Database
    ) -> None:
        inference.error, inference.error_after = Unavailable("It stopped.", code="inference_cut_off"), 2
        ask(store=True, stream=True)
        ask(store=True)
        assert keeper.flush(timeout_s=10)
        assert rows(database) == []

    def test_the_answer_neither_waits_for_nor_fails_by_the_storing(
        self, ask: Ask, keeper: CompletionKeeper, monkeypatch: pytest.MonkeyPatch, database: Database
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(completions, "keep", lambda *_: 1 / 0)
            assert ask(store=True).json()["choices"][0]["message"]["content"] == "Hello there!"
            assert keeper.flush(timeout_s=10)
        assert rows(database) == []

    def test_a_process_that_ends_stores_what_it_gave(
        self,
        app: FastAPI,
        keeper: CompletionKeeper,
        as_reviewer: Headers,
        model: str,
        database: Database,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ending = threading.Event()
        store, flush = keeper._store, keeper.flush
        monkeypatch.setattr(keeper, "_store", lambda completion: ending.wait(10) and store(completion))
        monkeypatch.setattr(keeper, "flush", lambda **given: ending.set() or flush(**given))
        with TestClient(app) as client:
            body = {"model": model, "messages": HELLO, "store": True}
            made = client.post(PATH, headers=as_reviewer, json=body).json()["id"]
        assert [row.id for row in rows(database)] == [made]


class TestReading:
    @pytest.fixture(autouse=True)
    def _kept(self, keep: Keep) -> Iterator[None]:
        self.first = keep(metadata={"team": "harbour", "kind": "a"}, temperature=0.5)
        self.second = keep(metadata={"team": "harbour", "kind": "b"})
        self.third = keep(messages=[{"role": "system", "content": "Be kind."}, *HELLO])
        return

    def ids(self, client: TestClient, headers: Headers, query: str) -> list[str]:
        answer = client.get(f"{PATH}?{query}", headers=headers)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["data"]]

    def test_the_oldest_come_first_unless_the_newest_are_asked_for(
        self, client: TestClient, as_reviewer: Headers
    ) -> None:
        assert self.ids(client, as_reviewer, "") == [self.first, self.second, self.third]
        assert self.ids(client, as_reviewer, "order=desc") == [self.third, self.second, self.first]
        assert self.ids(client, as_reviewer, f"order=desc&limit=1&after={self.third}") == [self.second]
        assert client.get(f"{PATH}?order=up", headers=as_reviewer).status_code == 400

    def test_filters_are_met_together(self, client: TestClient, as_reviewer: Headers, model: str) -> None:
        assert self.ids(client, as_reviewer, "metadata[team]=harbour") == [self.first, self.second]
        assert self.ids(client, as_reviewer, "metadata[team]=harbour&metadata[kind]=b") == [self.second]
        assert self.ids(client, as_reviewer, f"model={model}&metadata[kind]=a") == [self.first]
        assert self.ids(client, as_reviewer, "model=another") == []

    def test_an_answer_says_what_it_was_asked_with(
        self, client: TestClient, as_reviewer: Headers, settings: Settings
    ) -> None:
        kept = client.get(f"{PATH}/{self.first}", headers=as_reviewer).json()
        assert (kept["object"], kept["temperature"], kept["top_p"]) == ("chat.completion", 0.5, 1.0)
        assert (kept["question"], kept["usage"]["total_tokens"]) == ("Hello", 10)
        assert kept["expires_at"] - kept["created"] == pytest.approx(settings.stored_completions_days * 86400, abs=5)

    def test_messages_are_paged_both_ways(self, client: TestClient, as_reviewer: Headers) -> None:
        url = f"{PATH}/{self.third}/messages"
        page = client.get(f"{url}?limit=1", headers=as_reviewer).json()
        assert [(one["id"], one["role"], one["content"]) for one in page["data"]] == [
            (f"{self.third}-0", "system", "Be kind.")
        ]
        assert page["has_more"] is True
        rest = client.get(f"{url}?after={page['last_id']}", headers=as_reviewer).json()
        assert [one["content"] for one in rest["data"]] == ["Hello"]
        assert rest["has_more"] is False
        assert [one["role"] for one in client.get(f"{url}?order=desc", headers=as_reviewer).json()["data"]] == [
            "user",
            "system",
        ]

    def test_nobody_else_finds_it(
        self, client: TestClient, as_stranger: Headers, as_viewer: Headers, as_member: Headers
    ) -> None:
        for method, path in [("GET", ""), ("GET", "/messages"), ("POST", ""), ("DELETE", "")]:
            url = f"{PATH}/{self.first}{path}"
            body = {"metadata": {}} if method == "POST" else None
            assert client.request(method, url, json=body).status_code == 401
            assert client.request(method, url, json=body, headers=as_viewer).status_code == 403
            answer = client.request(method, url, json=body, headers=as_stranger)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "completion_not_found")
        assert self.ids(client, as_stranger, "") == []
        assert self.ids(client, as_member, "") == [self.first, self.second, self.third]


class TestChanging:
    def test_metadata_is_replaced_and_that_is_in_the_log(
        self, client: TestClient, keep: Keep, as_member: Headers, as_admin: Headers
    ) -> None:
        url = f"{PATH}/{keep(metadata={'a': 'b', 'c': 'd'})}"
        assert client.post(url, headers=as_member, json={"metadata": {"a": "z"}}).json()["metadata"] == {"a": "z"}
        assert client.post(url, headers=as_member, json={"metadata": None}).json()["metadata"] == {}
        for bad in ({}, {"metadata": {"a": "b" * 513}}, {"metadata": {str(n): "" for n in range(17)}}):
            assert client.post(url, headers=as_member, json=bad).status_code == 400
        actions = [one["action"] for one in client.get("/v1/audit_events", headers=as_admin).json()["data"]]
        assert actions.count("completion.labelled") == 2

    def test_who_may_only_talk_may_not_delete(self, client: TestClient, keep: Keep, as_reviewer: Headers) -> None:
        assert client.delete(f"{PATH}/{keep()}", headers=as_reviewer).status_code == 403

    def test_deleted_is_gone_from_the_database_and_the_log_holds_no_word_of_it(
        self, client: TestClient, keep: Keep, as_member: Headers, as_admin: Headers, database: Database
    ) -> None:
        kept = keep(messages=[{"role": "user", "content": "my secret question"}])
        answer = client.delete(f"{PATH}/{kept}", headers=as_member)
        assert answer.json() == {"id": kept, "object": "chat.completion.deleted", "deleted": True}
        assert rows(database) == []
        assert client.delete(f"{PATH}/{kept}", headers=as_member).status_code == 404
        log = client.get("/v1/audit_events", headers=as_admin)
        assert [one["action"] for one in log.json()["data"]].count("completion.deleted") == 1
        assert "secret" not in log.text

    def test_what_is_still_on_its_way_is_not_said_to_be_gone(
        self,
        client: TestClient,
        keeper: CompletionKeeper,
        as_member: Headers,
        workspace_id: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Else it would be stored after it was deleted."""
        monkeypatch.setattr("api.chat.kept._STORED_WITHIN_S", 0.01)
        stored = threading.Event()
        monkeypatch.setattr(keeper, "_store", lambda _: stored.wait(10))
        keeper.give(new_completion(workspace_id))
        answer = client.delete(f"{PATH}/chatcmpl-1", headers=as_member)
        stored.set()
        assert answer.status_code == 503


def test_the_official_client_goes_through_the_life_of_a_kept_answer(ai: OpenAI, model: str) -> None:
    made = ai.chat.completions.create(model=model, messages=HELLO, store=True, metadata={"team": "harbour"})
    ai.chat.completions.create(model=model, messages=HELLO, store=True, metadata={"team": "hills"})
    kept = ai.chat.completions.retrieve(made.id)
    assert kept.choices[0].message.content == made.choices[0].message.content
    assert kept.metadata == {"team": "harbour"}
    assert kept.usage == made.usage
    listed = list(ai.chat.completions.list(limit=1))  # page by page
    assert len(listed) == 2
    assert [one.id for one in ai.chat.completions.list(metadata={"team": "harbour"}, model=model)] == [made.id]
    assert ai.chat.completions.update(made.id, metadata={"team": "sea"}).metadata == {"team": "sea"}
    (message,) = ai.chat.completions.messages.list(made.id)
    assert (message.id, message.content) == (f"{made.id}-0", "Hello")
    assert ai.chat.completions.delete(made.id).deleted is True
    with pytest.raises(openai.NotFoundError):
        ai.chat.completions.retrieve(made.id)


def test_rows_are_hidden_from_other_workspaces_by_the_database_itself(
    database: Database, keep: Keep, other_workspace_id: str
) -> None:
    keep()
    with database.session(workspace_scope(other_workspace_id)) as session:
        assert session.query(Completion).count() == 0
