"""Stable names: what they point at is changed without a word to who calls."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from openai import OpenAI

from api.main import create_app
from core.audit.models import AuditEvent
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import SYSTEM, Database
from tests.api.chat.conftest import Headers, ledger
from tests.factories.inference import FakeInference

if TYPE_CHECKING:
    from core.serving.aliases.shadows import Shadows

pytestmark = pytest.mark.stack

HELLO = [{"role": "user", "content": "Hi"}]
Make = Callable[..., dict[str, Any]]


@pytest.fixture
def inference() -> FakeInference:
    return FakeInference()


@pytest.fixture
def tuned(create: Callable[..., object], claim: Callable[[], Any], succeed: Callable[[Any], str]) -> str:
    create(name="Claims helper")
    return succeed(claim())


@pytest.fixture
def bot(client: TestClient, as_member: Headers, model: str) -> str:
    answer = client.post("/v1/aliases", headers=as_member, json={"name": "support-bot", "model": model})
    assert answer.status_code == 200, answer.text
    return "support-bot"


@pytest.fixture
def post(client: TestClient, as_member: Headers, bot: str) -> Make:
    def _post(what: str, **body: object) -> dict[str, Any]:
        answer = client.post(f"/v1/aliases/{bot}/{what}", headers=as_member, json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    return _post


def say(client: TestClient, headers: Headers, model: str, **more: object) -> Any:  # noqa: ANN401 - a response
    body = {"model": model, "messages": HELLO} | more
    return client.post("/v1/chat/completions", headers=headers, json=body)


class TestAnswers:
    def test_name_who_gave_them_in_the_body_a_header_and_the_ledger(
        self, client: TestClient, as_member: Headers, bot: str, model: str, database: Database
    ) -> None:
        answer = say(client, as_member, bot)
        assert answer.json()["model"] == bot
        assert answer.json()["served_by"] == {"model": model, "release": 1, "profile": None}
        assert answer.headers["x-served-model"] == model
        [entry] = ledger(database)
        assert (entry.model, entry.alias) == (model, bot)
        assert "served_by" not in say(client, as_member, model).json()

    def test_the_official_client_finds_and_asks_it(self, ai: OpenAI, bot: str, model: str) -> None:
        assert bot in [found.id for found in ai.models.list()]
        stream = ai.chat.completions.create(model=bot, messages=[{"role": "user", "content": "Hi"}], stream=True)
        chunks = list(stream)
        assert {chunk.model for chunk in chunks} == {bot}
        assert (chunks[0].model_extra or {})["served_by"]["model"] == model

    def test_another_workspace_knows_nothing_of_it(self, client: TestClient, as_stranger: Headers, bot: str) -> None:
        assert say(client, as_stranger, bot).status_code == 404
        assert client.get(f"/v1/aliases/{bot}", headers=as_stranger).json()["error"]["code"] == "alias_not_found"


class TestReleases:
    def test_a_switch_and_the_way_back_are_both_history(
        self, client: TestClient, as_member: Headers, bot: str, post: Make, model: str, tuned: str, database: Database
    ) -> None:
        post("releases", arms=[{"model": tuned, "percent": 100}], note="better with claims")
        assert say(client, as_member, bot).json()["served_by"]["model"] == tuned
        back = post("roll_back")
        assert back["release"]["arms"][0]["model"] == model
        assert say(client, as_member, bot).json()["served_by"] == {"model": model, "release": 3, "profile": None}
        history = client.get(f"/v1/aliases/{bot}/releases", headers=as_member).json()["data"]
        assert [(one["number"], one["rolled_back_to"], one["note"]) for one in history] == [
            (3, 1, "Back to release 1"),
            (2, None, "better with claims"),
            (1, None, ""),
        ]
        with database.session(SYSTEM) as session:
            actions = [event.action for event in session.query(AuditEvent).order_by(AuditEvent.id)]
        # two of one transaction are in no order
        assert sorted(action for action in actions if action.startswith("alias.")) == [
            "alias.created",
            "alias.released",
            "alias.released",
            "alias.rolled_back",
        ]

    def test_shares_are_kept_to_and_stick_to_who_asks(
        self, client: TestClient, as_member: Headers, bot: str, post: Make, model: str, tuned: str
    ) -> None:
        arms = [{"model": tuned, "percent": 30}, {"model": model, "percent": 70}]
        post("releases", arms=arms)
        first = [say(client, as_member, bot, user=f"u{n}").json()["served_by"]["model"] for n in range(40)]
        assert set(first) == {model, tuned}
        post("releases", arms=[{"model": tuned, "percent": 60}, {"model": model, "percent": 40}])
        for number in (at for at, answered in enumerate(first) if answered == tuned):
            # who had it keeps it while its share grows
            assert say(client, as_member, bot, user=f"u{number}").json()["served_by"]["model"] == tuned

    @pytest.mark.parametrize(
        ("arms", "code"),
        [
            ([("base", 60), ("base", 30)], "shares_no_whole"),
            ([("ft:unknown", 100)], "model_not_found"),
        ],
    )
    def test_what_cannot_be_is_refused(
        self, client: TestClient, as_member: Headers, bot: str, model: str, arms: list[tuple[str, int]], code: str
    ) -> None:
        body = {"arms": [{"model": model if name == "base" else name, "percent": percent} for name, percent in arms]}
        answer = client.post(f"/v1/aliases/{bot}/releases", headers=as_member, json=body)
        assert answer.json()["error"]["code"] == code

    def test_a_model_in_use_is_not_deleted(
        self, client: TestClient, as_member: Headers, post: Make, tuned: str
    ) -> None:
        post("releases", arms=[{"model": tuned, "percent": 100}])
        answer = client.delete(f"/v1/models/{tuned}", headers=as_member)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "model_in_use")
        post("roll_back")
        assert client.delete(f"/v1/models/{tuned}", headers=as_member).status_code == 200


class TestProfiles:
    def test_a_version_says_what_the_request_does_not(
        self, client: TestClient, as_member: Headers, bot: str, post: Make, model: str, inference: FakeInference
    ) -> None:
        post("profiles", system_prompt="Be kind.", temperature=0.2, note="first")
        assert post("profiles", system_prompt="Be brief.")["version"] == 2
        say(client, as_member, bot)
        assert inference.requests[-1].messages[0].role == "user"  # no release names a version yet
        post("releases", arms=[{"model": model, "percent": 100, "profile": 1}])
        assert say(client, as_member, bot).json()["served_by"]["profile"] == 1
        asked = inference.requests[-1]
        assert (asked.messages[0].role, asked.messages[0].content) == ("system", "Be kind.")
        assert asked.sampling.temperature == 0.2
        own = [{"role": "system", "content": "Mine."}, *HELLO]
        say(client, as_member, bot, messages=own, temperature=1.5)
        asked = inference.requests[-1]
        assert [message.content for message in asked.messages] == ["Mine.", "Hi"]
        assert asked.sampling.temperature == 1.5
        found = client.get(f"/v1/aliases/{bot}/profiles", headers=as_member).json()["data"]
        assert [(one["version"], one["system_prompt"]) for one in found] == [(2, "Be brief."), (1, "Be kind.")]


class TestShadow:
    def test_is_stored_and_metered_and_never_sent(
        self,
        client: TestClient,
        app: FastAPI,
        as_member: Headers,
        bot: str,
        post: Make,
        model: str,
        tuned: str,
        database: Database,
    ) -> None:
        post("releases", arms=[{"model": model, "percent": 100}], shadow={"model": tuned})
        answer = say(client, as_member, bot).json()
        assert answer["served_by"]["model"] == model
        shadows: Shadows = app.state.shadows
        shadows.flush()
        [kept] = client.get(f"/v1/aliases/{bot}/shadow_answers", headers=as_member).json()["data"]
        assert (kept["completion_id"], kept["model"], kept["question"]) == (answer["id"], tuned, "Hi")
        assert (kept["shown_text"], kept["text"]) == ("Hello there!", "Hello there!")
        answers = {(entry.model, entry.source_id) for entry in ledger(database) if entry.model}
        assert answers == {(model, answer["id"]), (tuned, kept["id"])}

    def test_that_names_somebody_who_is_being_forgotten_is_metered_and_not_stored(
        self,
        client: TestClient,
        app: FastAPI,
        as_admin: Headers,
        bot: str,
        post: Make,
        model: str,
        tuned: str,
        database: Database,
    ) -> None:
        post("releases", arms=[{"model": model, "percent": 100}], shadow={"model": tuned})
        found = client.post("/v1/erasures", headers=as_admin, json={"terms": ["hello there"]}).json()
        assert client.post(f"/v1/erasures/{found['id']}/confirm", headers=as_admin).status_code == 200
        say(client, as_admin, bot)
        shadows: Shadows = app.state.shadows
        shadows.flush()
        assert client.get(f"/v1/aliases/{bot}/shadow_answers", headers=as_admin).json()["data"] == []
        assert {entry.model for entry in ledger(database) if entry.model} == {model, tuned}


class TestRights:
    def test_reading_and_changing(self, client: TestClient, as_viewer: Headers, bot: str, model: str) -> None:
        assert client.get("/v1/aliases").status_code == 401
        assert [one["name"] for one in client.get("/v1/aliases", headers=as_viewer).json()["data"]] == [bot]
        body = {"name": "other", "model": model}
        assert client.post("/v1/aliases", headers=as_viewer, json=body).status_code == 403
        assert client.post(f"/v1/aliases/{bot}/roll_back", headers=as_viewer, json={}).status_code == 403
        assert client.get(f"/v1/aliases/{bot}/shadow_answers", headers=as_viewer).status_code == 403

    def test_a_deleted_one_comes_back_with_its_history(
        self, client: TestClient, as_member: Headers, bot: str, model: str
    ) -> None:
        assert client.delete(f"/v1/aliases/{bot}", headers=as_member).status_code == 200
        assert say(client, as_member, bot).status_code == 404
        again = client.post("/v1/aliases", headers=as_member, json={"name": bot, "model": model})
        assert (again.status_code, again.json()["error"]["code"]) == (409, "alias_exists")
        assert client.post(f"/v1/aliases/{bot}/restore", headers=as_member).json()["release"]["number"] == 1

    def test_a_name_must_be_one(self, client: TestClient, as_member: Headers, model: str) -> None:
        for name in ("Support Bot", "", "ft:x", model):
            answer = client.post("/v1/aliases", headers=as_member, json={"name": name, "model": model})
            assert answer.json()["error"]["code"] == "alias_name_invalid"


class TestLimits:
    def test_a_change_that_is_sent_again_is_made_once(
        self, client: TestClient, as_member: Headers, bot: str, tuned: str
    ) -> None:
        for what, body in (
            ("releases", {"arms": [{"model": tuned, "percent": 100}]}),
            ("profiles", {"system_prompt": "Be kind."}),
            ("roll_back", {}),
        ):
            path, headers = path_of(bot, what), as_member | {"idempotency-key": what}
            first, again = (client.post(path, headers=headers, json=body) for _ in range(2))
            assert (again.status_code, again.json()) == (200, first.json()), what
            assert again.headers["idempotent-replayed"] == "true"
        assert [one["version"] for one in client.get(path_of(bot, "profiles"), headers=as_member).json()["data"]] == [1]
        numbers = [one["number"] for one in client.get(path_of(bot, "releases"), headers=as_member).json()["data"]]
        assert numbers == [3, 2, 1]

    def test_a_workspace_has_so_many_names_and_no_more(
        self, settings: Settings, database: Database, backends: Backends, as_member: Headers, model: str
    ) -> None:
        few = settings.model_copy(update={"max_aliases_per_workspace": 1})
        with TestClient(create_app(few, database, backends)) as client:

            def take(name: str) -> tuple[int, str | None]:
                answer = client.post("/v1/aliases", headers=as_member, json={"name": name, "model": model})
                return answer.status_code, answer.json().get("error", {}).get("code")

            assert take("one") == (200, None)
            assert take("another") == (409, "too_many_aliases")
            client.delete("/v1/aliases/one", headers=as_member)
            assert take("another") == (200, None)
            back = client.post("/v1/aliases/one/restore", headers=as_member)
            assert (back.status_code, back.json()["error"]["code"]) == (409, "too_many_aliases")


def path_of(alias: str, what: str) -> str:
    return f"/v1/aliases/{alias}/{what}"
