"""The door: every route of the app, with the real ids of a workspace, against everybody who may not pass.

Routes are found from the app, so that a new one is tried at once. Who comes: `callers.py`; what for: `seeded.py`.
"""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import Engine

from api.main import create_app
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import Database
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission
from tests.api.callers import CALLERS, Caller, Door
from tests.api.fingerprint import difference, fingerprint
from tests.api.routes_of import Route, routes_of
from tests.api.seeded import BODIES, FIELDS, GIVEN_TO, OF_THE_INSTALLATION, PARAMETERS, Things, seed

Headers = dict[str, str]
Print = Callable[[], dict[str, Any]]

# quick enough to run with the other tests; recorded with the drills
pytestmark = [pytest.mark.drill(31), pytest.mark.fast_drill]
APP = create_app(Settings(s3_access_key_id="none", s3_secret_access_key="none"))
GUARDED = [route for route in routes_of(APP) if route.is_guarded]
# what a workspace's admin may do, with a thing of a workspace in its path
OF_THINGS = [
    route
    for route in GUARDED
    if route.permission is not Permission.INSTALLATION_ADMIN and any(name in PARAMETERS for name in route.parameters)
]


@pytest.fixture
def ours(client: TestClient, database: Database, settings: Settings, as_admin: Headers, principal: Principal) -> Things:
    workspace_id = principal.workspace_id
    return seed(client, database, settings, headers=as_admin, workspace_id=workspace_id, worker="ours-1-aaaaaaaa")


@pytest.fixture
def theirs(
    client: TestClient, database: Database, settings: Settings, as_stranger: Headers, other_workspace_id: str
) -> Things:
    """The stranger's own."""
    return seed(
        client, database, settings, headers=as_stranger, workspace_id=other_workspace_id, worker="theirs-1-aaaaaaaa"
    )


@pytest.fixture
def taken(owner_engine: Engine, backends: Backends) -> Print:
    return lambda: fingerprint(owner_engine, backends)


def send(
    client: TestClient, route: Route, url: str, headers: Headers, body: dict[str, object] | None = None
) -> Response:
    asked = BODIES.get(str(route), {}) | (body or {})
    return client.request(route.method, url, headers=headers, json=asked if route.has_body else None)


def told(answer: Response, *echoed: str) -> tuple[Any, ...]:
    """All that an answer tells of a thing: not the ids asked for, the request's own, how often one may ask."""
    text = answer.text
    for one in echoed:
        text = text.replace(one, "…")
    told_headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in {"x-request-id", "content-length", "date"} and not name.startswith("x-ratelimit-")
    }
    return answer.status_code, text, tuple(sorted(told_headers.items()))


class TestWhatIsTried:
    def test_every_parameter_of_every_path_has_a_thing(self) -> None:
        names = {name for route in routes_of(APP) for name in route.parameters}
        assert names - PARAMETERS.keys() - OF_THE_INSTALLATION.keys() == set(), "see seeded.py"
        assert PARAMETERS.keys() - names == set()

    def test_every_field_of_a_body_that_takes_an_id_has_a_thing(self) -> None:
        names = {name for _, name in _fields_with_ids(APP)}
        assert names - FIELDS.keys() == set(), "see seeded.py"

    @pytest.mark.stack
    def test_the_ids_are_real(self, client: TestClient, as_admin: Headers, as_operator: Headers, ours: Things) -> None:
        for route in GUARDED:
            if route.method != "GET" or route.path.endswith("/stream"):
                continue
            headers = as_operator if route.permission is Permission.INSTALLATION_ADMIN else as_admin
            # one's own account is for people in a browser; these are keys
            expected = 403 if route.path.startswith("/v1/profile") else 200
            assert send(client, route, ours.url(route), headers).status_code == expected, route


@pytest.mark.stack
@pytest.mark.parametrize("come", CALLERS, ids=lambda come: come.__name__)
def test_who_may_not_pass_learns_nothing_and_changes_nothing(
    client: TestClient,
    database: Database,
    settings: Settings,
    principal: Principal,
    ours: Things,
    taken: Print,
    come: Callable[[Door], Caller],
) -> None:
    caller = come(Door(database, settings, principal))
    routes = [route for route in GUARDED if caller.is_for(route)]
    assert routes
    before, wrong = taken(), {}
    for route in routes:
        real, unknown = (
            send(client, route, things.url(route), dict(caller.headers)) for things in (ours, ours.unknown())
        )
        is_refused = real.status_code == caller.status and real.json()["error"]["code"] == caller.code
        if not is_refused or told(real) != told(unknown):
            wrong[str(route)] = (real.status_code, real.text, unknown.text)
    assert wrong == {}
    assert difference(before, taken()) == {}


@pytest.mark.stack
class TestAnotherWorkspacesAdmin:
    """Has every right that a workspace can give, and a workspace of their own."""

    def test_what_is_not_theirs_does_not_exist(
        self, client: TestClient, as_stranger: Headers, ours: Things, theirs: Things, taken: Print
    ) -> None:
        before, wrong = taken(), {}
        for route in OF_THINGS:
            real, unknown = (send(client, route, things.url(route), as_stranger) for things in (ours, ours.unknown()))
            nothing = told(unknown, *ours.unknown().ids().values())
            if real.status_code != 404 or told(real, *ours.ids().values()) != nothing:
                wrong[str(route)] = (real.status_code, real.text, unknown.text)
        assert wrong == {}
        assert difference(before, taken()) == {}

    def test_an_id_of_another_kind_opens_nothing_either(
        self, client: TestClient, as_stranger: Headers, ours: Things, theirs: Things, taken: Print
    ) -> None:
        before, wrong = taken(), {}
        for number, route in enumerate(OF_THINGS):
            name = next(name for name in route.parameters if name in PARAMETERS)
            foreign = ours.ids() | {f"their {kind}": found for kind, found in theirs.ids().items()}
            del foreign[f"their {PARAMETERS[name]}"]
            if PARAMETERS[name] == "model":
                del foreign["their alias"]  # it is asked for, and looked at, as a model is
            # half of them each: every kind meets every second route
            for kind, found in list(foreign.items())[number % 2 :: 2]:
                answer = send(client, route, theirs.url(route, **{name: found}), as_stranger)
                if answer.status_code != 404:
                    wrong[f"{route} with {kind}"] = (answer.status_code, answer.text)
        assert wrong == {}
        assert difference(before, taken()) == {}

    def test_no_body_reaches_what_is_not_theirs(
        self, client: TestClient, as_stranger: Headers, ours: Things, theirs: Things, taken: Print
    ) -> None:
        before, wrong = taken(), {}
        for route, name in _fields_with_ids(APP):
            real, unknown = (
                send(
                    client,
                    route,
                    theirs.url(route),
                    as_stranger,
                    theirs.beside(name) | {name: things.in_field(name)},
                )
                for things in (ours, ours.unknown())
            )
            nothing = told(unknown, *ours.unknown().ids().values())
            # a rehearsal tells it among its checks
            if '_not_found"' not in real.text or told(real, *ours.ids().values()) != nothing:
                wrong[f"{route} with {name}"] = (real.status_code, real.text, unknown.text)
        assert wrong == {}
        assert difference(before, taken()) == {}

    def test_no_list_shows_what_is_not_theirs(
        self, client: TestClient, as_admin: Headers, as_stranger: Headers, ours: Things, theirs: Things
    ) -> None:
        """A list that is asked to go on after a thing of ours too."""
        ours_to_see = [
            route
            for route in GUARDED
            if route.method == "GET"
            and route.permission is not Permission.INSTALLATION_ADMIN
            and not route.path.endswith("/stream")
        ]
        seen_by_us = "".join(client.get(ours.url(route), headers=as_admin).text for route in ours_to_see)
        for route in ours_to_see:
            if route.parameters:
                continue
            for after in (None, *ours.ids().values()):
                answer = client.get(route.path, headers=as_stranger, params={"limit": "100", "after": after or ""})
                shown = {kind for kind, found in ours.ids().items() if found in answer.text}
                assert shown == set(), (route, after)
        of_all = {"job", "worker", "worker_token"}
        of_a_person = {"session", "identity"}
        unseen = {kind for kind, found in ours.ids().items() if found not in seen_by_us}
        assert unseen == of_all | of_a_person, "what no list shows us cannot be missed in theirs"


@pytest.mark.stack
@pytest.mark.parametrize("who", ["as_admin", "as_operator"])
def test_an_unknown_id_is_not_found_by_those_who_may(
    client: TestClient, request: pytest.FixtureRequest, ours: Things, who: str
) -> None:
    headers: Headers = request.getfixturevalue(who)
    is_above = who == "as_operator"
    wrong = {}
    for route in GUARDED:
        if (route.permission is Permission.INSTALLATION_ADMIN) is is_above and any(
            name in PARAMETERS for name in route.parameters
        ):
            answer = send(client, route, ours.unknown().url(route), headers)
            if answer.status_code != 404 or not answer.json()["error"]["code"].endswith("not_found"):
                wrong[str(route)] = (answer.status_code, answer.text)
    assert wrong == {}


def _fields_with_ids(app: FastAPI) -> list[tuple[Route, str]]:
    """Routes with a field that takes an id in the body that they read."""
    description = app.openapi()
    found = []
    for route in routes_of(app):
        operation = description["paths"].get(route.path.replace(":path", ""), {}).get(route.method.lower(), {})
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        properties = description["components"]["schemas"].get(name, {}).get("properties", {})
        found += [
            (route, field)
            for field in properties.keys() - GIVEN_TO
            if field in FIELDS or field.endswith(("_id", "_ids", "_file"))
        ]
    return found
