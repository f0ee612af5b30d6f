"""Votes on answers to one question."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.backends.blobs import S3BlobStore
from core.datasets.models import File
from core.db.session import SYSTEM, Database, workspace_scope
from core.serving.preferences.models import Preference
from core.workspaces.roles import Role
from tests.api.seeded import VOTE
from tests.conftest import Headers, key_headers, make_principal

pytestmark = pytest.mark.stack

PATH = "/v1/preferences"


@pytest.fixture
def as_reviewer(database: Database, workspace_id: str) -> Headers:
    """The least who may judge."""
    return key_headers(database, make_principal(database, workspace_id, Role.REVIEWER))


def vote(client: TestClient, headers: Headers, **changes: object) -> dict[str, Any]:
    answer = client.post(PATH, headers=headers, json=VOTE | changes)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def answers(*more: Mapping[str, object]) -> list[dict[str, object]]:
    given: list[dict[str, object]] = [{"model": "a", "content": "Yes."}, {"model": "b", "content": "No."}]
    return [one | dict(extra) for one, extra in zip(given, more, strict=True)]


class TestVoting:
    def test_a_vote_says_who_answered_what_who_preferred_it_and_when(
        self, client: TestClient, as_reviewer: Headers
    ) -> None:
        served = {"model": "ft:a", "release": 3, "profile": 2}
        given = answers({"model": "bot", "served_by": served}, {"system_prompt": "Be short."})
        made = vote(client, as_reviewer, answers=given, parameters={"temperature": 0.2, "stop": ["\n"]})
        assert made == client.get(f"{PATH}/{made['id']}", headers=as_reviewer).json()
        assert (made["verdict"], made["best"], made["is_blind"], made["is_erased"]) == ("best", 0, True, False)
        assert made["messages"] == VOTE["messages"]
        assert made["parameters"] == {"temperature": 0.2, "stop": ["\n"]}
        assert made["created_by_name"]
        first, second = made["answers"]
        assert (first["model"], first["served_by"]) == ("bot", served)
        assert first["voice"] == {"model": "ft:a", "alias": "bot", "profile": 2, "prompt": None}
        assert (second["system_prompt"], second["voice"]["alias"]) == ("Be short.", None)
        assert len(second["voice"]["prompt"]) == 12

    @pytest.mark.parametrize(
        ("changes", "param"),
        [
            ({"best": 2}, "best"),
            ({"best": None}, "best"),
            ({"verdict": "all_bad"}, "best"),
            ({"answers": answers({"content": " "}, {})}, "best"),
            ({"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]}, "messages"),
            ({"messages": [{"role": "nobody", "content": "?"}]}, "messages.0.role"),
            ({"answers": [*answers({}, {}), {"model": "c"}]}, "answers.2.content"),
            ({"answers": answers({}, {})[:1]}, "answers"),
        ],
    )
    def test_what_chooses_nothing_is_refused_by_name(
        self, client: TestClient, as_reviewer: Headers, changes: dict[str, object], param: str
    ) -> None:
        answer = client.post(PATH, headers=as_reviewer, json=VOTE | changes)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)

    def test_a_vote_that_is_sent_again_counts_once(self, client: TestClient, as_reviewer: Headers) -> None:
        headers = as_reviewer | {"Idempotency-Key": "round-1"}
        first, again = (client.post(PATH, headers=headers, json=VOTE) for _ in range(2))
        assert (first.json()["id"], again.headers["idempotent-replayed"]) == (again.json()["id"], "true")
        assert len(client.get(PATH, headers=as_reviewer).json()["data"]) == 1

    def test_only_who_may_talk_to_models_votes_and_only_who_may_edit_deletes(
        self, client: TestClient, as_viewer: Headers, as_reviewer: Headers, as_member: Headers, as_stranger: Headers
    ) -> None:
        assert client.post(PATH, json=VOTE).status_code == 401
        assert client.post(PATH, headers=as_viewer, json=VOTE).status_code == 403
        url = f"{PATH}/{vote(client, as_reviewer)['id']}"
        assert client.delete(url, headers=as_reviewer).status_code == 403
        for answer in (client.get(url, headers=as_stranger), client.delete(url, headers=as_stranger)):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "preference_not_found")
        assert client.delete(url, headers=as_member).json()["deleted"] is True
        assert client.get(url, headers=as_member).status_code == 404

    def test_the_log_knows_of_it_and_holds_no_word_of_it(
        self, client: TestClient, as_member: Headers, as_admin: Headers
    ) -> None:
        made = vote(client, as_member, messages=[{"role": "user", "content": "my secret question"}])
        client.delete(f"{PATH}/{made['id']}", headers=as_member)
        log = client.get("/v1/audit_events", headers=as_admin)
        assert [one["action"] for one in log.json()["data"]][:2] == ["preference.deleted", "preference.recorded"]
        assert "secret" not in log.text


class TestReading:
    def test_lists_are_paged_and_filtered(self, client: TestClient, as_reviewer: Headers) -> None:
        first = vote(client, as_reviewer)["id"]
        second = vote(client, as_reviewer, verdict="all_bad", best=None)["id"]

        def ids(**query: str) -> list[str]:
            return [one["id"] for one in client.get(PATH, headers=as_reviewer, params=query).json()["data"]]

        assert ids() == [second, first]
        assert ids(limit="1", after=second) == [first]
        assert ids(verdict="best") == [first]

    def test_wins_are_of_blind_votes(self, client: TestClient, as_reviewer: Headers, as_stranger: Headers) -> None:
        for _ in range(10):
            vote(client, as_reviewer, answers=answers({}, {}))
        vote(client, as_reviewer, answers=answers({}, {}), best=1, is_blind=False)
        [duel] = client.get(f"{PATH}/wins", headers=as_reviewer).json()["data"]
        assert (duel["first"]["model"], duel["num_first"], duel["num_second"], duel["lead"]) == ("a", 10, 0, "first")
        assert duel["low"] == pytest.approx(0.722467, abs=1e-5)
        assert client.get(f"{PATH}/wins", headers=as_stranger).json()["data"] == []

    def test_rows_are_hidden_from_other_workspaces_by_the_database_itself(
        self, client: TestClient, as_reviewer: Headers, database: Database, other_workspace_id: str
    ) -> None:
        vote(client, as_reviewer)
        with database.session(workspace_scope(other_workspace_id)) as session:
            assert session.query(Preference).count() == 0
        with database.session(SYSTEM) as session:
            assert session.query(Preference).count() == 1


class TestExamplesOfVotes:
    def test_the_preferred_answer_stands_against_each_other_one(
        self, client: TestClient, as_member: Headers, database: Database, blobs: S3BlobStore
    ) -> None:
        three = [*answers({}, {}), {"model": "c", "content": "Yes. "}]
        vote(client, as_member, answers=three)
        vote(client, as_member, verdict="all_equal", best=None)
        other = [{"role": "user", "content": "Something else"}]
        vote(client, as_member, answers=answers({}, {"messages": other}))
        prompted: dict[str, object] = {"system_prompt": "Be kind."}
        for number in range(9):
            messages = [{"role": "user", "content": f"Question {number}"}]
            vote(client, as_member, answers=answers(prompted, prompted), best=1, messages=messages)
        made = client.post(f"{PATH}/dataset", headers=as_member, json={"name": "Ours"})
        assert made.status_code == 200, made.text
        assert (made.json()["name"], made.json()["latest_version"]["kind"]) == ("Ours", "preference")
        with database.session(SYSTEM) as session:
            [file] = session.query(File).all()
            lines = [json.loads(line) for line in blobs.read_bytes(file.object_key).splitlines()]
        yes, no = [{"role": "assistant", "content": "Yes."}], [{"role": "assistant", "content": "No."}]
        system = {"role": "system", "content": "Be kind."}
        assert (len(lines), lines[-1]) == (
            10,
            {"input": {"messages": VOTE["messages"]}, "preferred_output": yes, "non_preferred_output": no},
        )
        assert lines[0] == {
            "input": {"messages": [system, {"role": "user", "content": "Question 8"}]},
            "preferred_output": no,
            "non_preferred_output": yes,
        }

    def test_of_too_few_votes_there_is_nothing_to_learn(
        self, client: TestClient, as_member: Headers, as_reviewer: Headers, database: Database
    ) -> None:
        vote(client, as_member)
        answer = client.post(f"{PATH}/dataset", headers=as_member, json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "too_few_preferences")
        assert client.post(f"{PATH}/dataset", headers=as_reviewer, json={}).status_code == 403
        with database.session(SYSTEM) as session:
            assert session.query(File).count() == 0
