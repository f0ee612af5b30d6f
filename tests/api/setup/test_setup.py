from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import Engine, text

from api.main import create_app
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.workspaces import setup
from tests.factories.backends import memory_backends
from tests.factories.people import ORIGIN, PASSWORD, audited, code_of, sign_in

pytestmark = pytest.mark.stack

BODY = {"workspace_name": "Front desk", "name": "Maya", "email": "Maya@clinic.example", "password": PASSWORD}


def set_up(client: TestClient, settings: Settings, **changes: str) -> Response:
    body = BODY | {"token": settings.setup_token} | changes
    return client.post("/v1/setup", json=body, headers=ORIGIN)


def num_people(engine: Engine) -> int:
    with engine.begin() as connection:
        return connection.execute(text("select count(*) from users")).scalar_one()


def test_it_makes_the_first_admin_and_signs_them_in(
    client: TestClient, settings: Settings, owner_engine: Engine
) -> None:
    assert client.get("/v1/auth/options").json()["is_set_up"] is False
    body = set_up(client, settings).json()
    assert body["user"]["email"] == "maya@clinic.example"
    assert body["workspace"]["name"] == "Front desk"
    assert body["role"] == "admin"
    assert "installation:admin" in body["permissions"]
    assert client.get("/v1/auth/session").json() == body
    assert client.get("/v1/auth/options").json()["is_set_up"] is True
    assert audited(owner_engine, body["workspace"]["id"]) == ["installation.set_up"]
    assert sign_in(client, email="maya@clinic.example").status_code == 200


def test_it_happens_once(client: TestClient, settings: Settings, owner_engine: Engine) -> None:
    set_up(client, settings)
    again = set_up(client, settings, email="eve@example.com")
    assert code_of(again) == (409, "already_set_up")
    assert num_people(owner_engine) == 1


def test_two_at_once_make_one_admin(settings: Settings, database: Database, owner_engine: Engine) -> None:
    app = create_app(settings, database, memory_backends())

    def attempt(number: int) -> int:
        browser = TestClient(app, base_url="http://127.0.0.1:8700")
        return set_up(browser, settings, email=f"admin{number}@example.com").status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(attempt, range(4))) == [200, 409, 409, 409]
    assert num_people(owner_engine) == 1


@pytest.mark.parametrize("token", ["", "0" * 32, "é" * 32])
def test_a_stranger_who_is_faster_has_no_link(
    client: TestClient, settings: Settings, owner_engine: Engine, token: str
) -> None:
    assert code_of(set_up(client, settings, token=token)) == (403, "setup_token_wrong")
    assert num_people(owner_engine) == 0


def test_a_secret_that_everybody_knows_makes_no_link(settings: Settings, database: Database) -> None:
    public = settings.model_copy(update={"secret_key": "change-me"})
    client = TestClient(create_app(public, database, memory_backends()), base_url="http://127.0.0.1:8700")
    assert public.setup_token is None
    answer = client.post("/v1/setup", json=BODY | {"token": "None"}, headers=ORIGIN)
    assert code_of(answer) == (403, "setup_token_wrong")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"password": "short"}, "password_length"),
        ({"email": "maya"}, "invalid_email"),
        ({"workspace_name": " "}, "invalid_name"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(
    client: TestClient, settings: Settings, owner_engine: Engine, changes: dict[str, str], code: str
) -> None:
    assert code_of(set_up(client, settings, **changes)) == (400, code)
    assert num_people(owner_engine) == 0
    assert set_up(client, settings).status_code == 200


def test_another_sites_page_cannot_do_it(client: TestClient, settings: Settings) -> None:
    body = BODY | {"token": settings.setup_token}
    answer = client.post("/v1/setup", json=body, headers={"origin": "https://evil.example"})
    assert code_of(answer) == (403, "cross_site_request")


def test_the_link_is_there_until_it_was_used(client: TestClient, settings: Settings, database: Database) -> None:
    with database.session(SYSTEM) as session:
        assert setup.link(session, settings=settings) == f"http://127.0.0.1:8700/setup#{settings.setup_token}"
    set_up(client, settings)
    with database.session(SYSTEM) as session:
        assert setup.link(session, settings=settings) is None
