"""The request log: every answer of a workspace kept, where its admin wants it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from core.backends.blobs import S3BlobStore
from core.datasets.models import File
from core.db.session import SYSTEM, Database, workspace_scope
from core.errors import Unavailable
from core.serving.completions.keeper import CompletionKeeper
from core.serving.completions.models import Completion, RequestLog
from tests.api.chat.conftest import Ask, Headers
from tests.factories.inference import FakeInference

pytestmark = pytest.mark.stack

PATH = "/v1/request_log"
KEPT = "/v1/chat/completions"
Turn = Callable[..., Response]
Logged = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def turn(client: TestClient, as_admin: Headers) -> Turn:
    def _turn(**body: object) -> Response:
        return client.patch(PATH, headers=as_admin, json=body)

    return _turn


@pytest.fixture
def logged(client: TestClient, as_reviewer: Headers, keeper: CompletionKeeper) -> Logged:
    """The newest first."""

    def _logged(**query: str) -> list[dict[str, Any]]:
        assert keeper.flush(timeout_s=10)
        answer = client.get(KEPT, headers=as_reviewer, params={"order": "desc"} | query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    return _logged


# a function with fields that are named like parts of a message
PARTS: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "find",
        "parameters": {
            "properties": {
                "id": {"description": "As mara.lind@clinic.org", "default": {"type": "mara.lind@clinic.org"}}
            }
        },
    },
}


class TestTurningItOn:
    def test_it_is_off_until_an_admin_turns_it_on_and_the_audit_log_knows(
        self, client: TestClient, turn: Turn, ask: Ask, logged: Logged, as_member: Headers, as_admin: Headers
    ) -> None:
        rule = {"object": "request_log", "is_on": False, "retention_days": 30, "is_masked": True}
        assert client.get(PATH, headers=as_member).json() == rule
        ask()
        assert logged(outcome="any") == []
        assert client.patch(PATH, json={"is_on": True}).status_code == 401
        assert client.patch(PATH, headers=as_member, json={"is_on": True}).status_code == 403
        assert turn(is_on=True, retention_days=7).json() == rule | {"is_on": True, "retention_days": 7}
        ask()
        turn(is_on=False)
        ask()
        assert len(logged()) == 1
        events = client.get("/v1/audit_events", headers=as_admin).json()["data"]
        changes = [one["details"] for one in events if one["action"] == "request_log.changed"]
        assert [(one["was_on"], one["is_on"], one["retention_days"]) for one in changes] == [
            (True, False, 7),
            (False, True, 7),
        ]

    @pytest.mark.parametrize("body", [{"retention_days": 0}, {"retention_days": 366}, {"is_on": "yes"}, {"days": 3}])
    def test_what_makes_no_sense_is_refused(self, turn: Turn, body: dict[str, object]) -> None:
        assert turn(**body).status_code == 400

    def test_it_is_the_workspaces_own(
        self, client: TestClient, turn: Turn, as_stranger: Headers, database: Database, other_workspace_id: str
    ) -> None:
        turn(is_on=True)
        assert client.get(PATH, headers=as_stranger).json()["is_on"] is False
        with database.session(workspace_scope(other_workspace_id)) as session:
            assert session.query(RequestLog).count() == 0


class TestWhatIsLogged:
    def test_who_asked_whom_and_how_long_it_took(self, turn: Turn, ask: Ask, logged: Logged, model: str) -> None:
        turn(is_on=True, retention_days=7)
        made = ask(metadata={"team": "harbour"}).json()
        [row] = logged()
        assert (row["id"], row["origin"], row["outcome"], row["error_code"]) == (
            made["id"],
            "logged",
            "succeeded",
            None,
        )
        assert (row["model"], row["served_model"], row["release"]) == (model, model, None)
        assert row["api_key_id"].startswith("key_")
        assert row["latency_ms"] >= 0
        assert (row["usage"], row["choices"][0]["finish_reason"]) == (made["usage"], "stop")
        assert row["metadata"] == {"team": "harbour"}
        assert row["expires_at"] - row["created"] == pytest.approx(7 * 86400, abs=5)

    def test_a_request_may_say_no(self, turn: Turn, ask: Ask, logged: Logged) -> None:
        turn(is_on=True)
        ask(store=False)
        ask(store=True)
        assert [row["origin"] for row in logged()] == ["stored"]

    def test_personal_data_is_taken_out_before_it_is_written(
        self, turn: Turn, ask: Ask, logged: Logged, database: Database, inference: FakeInference
    ) -> None:
        turn(is_on=True)
        said = [
            {
                "role": "user",
                "content": [{"type": "text", "text": "I am mara.lind@clinic.org, card 4111 1111 1111 1111"}],
            }
        ]
        ask(messages=said, metadata={"from": "mara.lind@clinic.org", "id": "mara.lind@clinic.org"}, logprobs=True)
        ask(messages=said, store=True, metadata={"mara.lind@clinic.org": "type"}, tools=[PARTS])
        logged()
        with database.session(SYSTEM) as session:
            rows = list(session.query(Completion))
            text = json.dumps([[row.messages, row.answer, row.user_metadata, row.parameters] for row in rows])
        assert "mara.lind" not in text
        assert "4111" not in text
        assert text.count("I am [mail address], card [card number]") == 2
        assert [row.answer["choices"][0]["logprobs"] for row in rows] == [None, None]
        turn(is_masked=False)
        ask(messages=said)
        assert logged()[0]["is_masked"] is False

    def test_a_request_that_fails_is_logged_and_is_no_answer(
        self, turn: Turn, ask: Ask, logged: Logged, inference: FakeInference
    ) -> None:
        turn(is_on=True)
        inference.error, inference.error_after = Unavailable("It stopped.", code="inference_cut_off"), 2
        assert ask().status_code == 503
        ask(stream=True)
        inference.error = Unavailable("It is busy.", code="inference_busy")
        inference.error_after = 0
        assert ask(stream=True).status_code == 503
        assert logged() == []
        found = logged(outcome="failed")
        assert [row["error_code"] for row in found] == ["inference_busy", "inference_cut_off", "inference_cut_off"]
        assert [row["choices"] for row in found] == [[], [], []]
        assert len(logged(outcome="any")) == 3

    def test_an_answer_does_not_wait_for_the_log_nor_fail_by_it(
        self, turn: Turn, ask: Ask, keeper: CompletionKeeper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        turn(is_on=True)
        monkeypatch.setattr("core.serving.completions.service.mask", lambda _: 1 / 0)
        assert ask().status_code == 200
        assert keeper.flush(timeout_s=10)
        assert keeper.num_lost == 1


def test_the_log_is_searched_by_words_model_and_time(turn: Turn, ask: Ask, logged: Logged, model: str) -> None:
    turn(is_on=True)
    parking = ask(messages=[{"role": "user", "content": 'Where is the "Park" & Ride? 50%'}]).json()
    ask(messages=[{"role": "user", "content": "Opening hours"}])

    def ids(**query: str) -> list[str]:
        return [row["id"] for row in logged(**query)]

    assert ids(q='the "park" &') == [parking["id"]]
    assert ids(q="50%") == [parking["id"]]
    assert ids(q="5_%") == []
    assert len(ids(q="hello there")) == 2
    assert len(ids(model=model, origin="logged")) == 2
    assert ids(origin="stored") == []
    assert ids(created_before=str(parking["created"] - 60)) == []
    assert len(ids(created_after=str(parking["created"] - 60))) == 2


class TestExamplesOfIt:
    def test_picked_answers_become_examples(
        self,
        client: TestClient,
        turn: Turn,
        ask: Ask,
        logged: Logged,
        as_member: Headers,
        database: Database,
        blobs: S3BlobStore,
    ) -> None:
        turn(is_on=True)
        for number in range(10):
            ask(messages=[{"role": "developer", "content": "Be kind."}, {"role": "user", "content": f"Q {number}"}])
        ids = [row["id"] for row in logged()]
        made = client.post(f"{PATH}/dataset", headers=as_member, json={"completion_ids": ids, "name": "Ours"})
        assert made.status_code == 200, made.text
        assert made.json()["name"] == "Ours"
        with database.session(SYSTEM) as session:
            [file] = session.query(File).all()
            lines = [json.loads(line) for line in blobs.read_bytes(file.object_key).splitlines()]
        assert (len(lines), lines[0]) == (
            10,
            {
                "messages": [
                    {"role": "system", "content": "Be kind."},
                    {"role": "user", "content": "Q 9"},
                    {"role": "assistant", "content": "Hello there!"},
                ]
            },
        )

    def test_what_cannot_be_learned_from_is_refused(
        self,
        client: TestClient,
        turn: Turn,
        ask: Ask,
        logged: Logged,
        inference: FakeInference,
        as_member: Headers,
        as_reviewer: Headers,
        as_stranger: Headers,
    ) -> None:
        turn(is_on=True)
        ask()
        inference.error = Unavailable("It is busy.", code="inference_busy")
        ask()
        failed, good = (row["id"] for row in logged(outcome="any"))

        def refused(headers: Headers, *ids: str) -> tuple[int, str]:
            answer = client.post(f"{PATH}/dataset", headers=headers, json={"completion_ids": ids})
            return answer.status_code, answer.json()["error"]["code"]

        assert refused(as_member, good) == (409, "too_few_picked")
        assert refused(as_member, failed) == (409, "completion_without_answer")
        assert refused(as_stranger, good) == (404, "completion_not_found")
        assert refused(as_reviewer, good)[0] == 403
