"""Every body that can be sent, with fields it does not have, values of other types, and values at their limits.

Bodies are found in the API's own description, so that a new one is tried at once.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.main import create_app
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.identity import service as identity
from core.workspaces.principal import Principal
from tests.api.fingerprint import difference, fingerprint
from tests.api.routes_of import Route, routes_of
from tests.api.seeded import BODIES, Things, seed

pytestmark = [pytest.mark.stack, pytest.mark.drill(33), pytest.mark.fast_drill]

APP = create_app(Settings(s3_access_key_id="none", s3_secret_access_key="none"))
DESCRIPTION = APP.openapi()
# of every JSON type one; what a schema does not allow must be refused, not taken for something else
OF_EACH_TYPE: dict[str, object] = {
    "null": None,
    "boolean": True,
    "integer": 3,
    "number": 3.5,
    "string": "3",
    "array": [],
    "object": {},
}
# what columns and programs call what nobody may set
PROTECTED = ("id", "workspace_id", "user_id", "created_by", "created_at", "status", "state", "role_", "cost_micros",
             "price_micros_per_hour", "is_installation_admin", "is_admin", "attempt", "deleted_at", "object_key",
             "__class__", "__proto__", "constructor")  # fmt: skip
# our own answers that clients send back, with what their libraries put beside them
ECHOED = {("POST /v1/chat/completions", ("messages", "0", "tool_calls", "0")),
          ("POST /v1/chat/completions", ("messages", "0", "tool_calls", "0", "function"))}  # fmt: skip
AT_THE_LIMITS = (
    '""', '"\\u0000"', '"\\ud800"', '"' + "a" * 20_000 + '"', '"\\u202e../../etc/passwd"', '"{{7*7}}\' or 1=1 --"',
    "0", "-1", "9223372036854775808", "-9223372036854775809", "1" + "0" * 400, "1e308", "1e999", "-0.0",
    "NaN", "Infinity",
    "[" * 500 + "]" * 500, "[null]", '{"a": {"b": {"c": []}}}', '{"": ""}', "true", "null",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """A place in a body: `method.dpo.hyperparameters.beta`, and what its schema says."""

    path: tuple[str, ...]
    schema: dict[str, Any]

    @property
    def name(self) -> str:
        return ".".join(self.path)

    def body(self, value: object) -> dict[str, Any]:
        """The smallest body with this value there."""
        made = value
        for name in reversed(self.path):
            made = [made] if name == "0" else {name: made}
        assert isinstance(made, dict)
        return made


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = DESCRIPTION["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def choices(schema: dict[str, Any]) -> list[dict[str, Any]]:
    schema = resolved(schema)
    inner = schema.get("anyOf", schema.get("oneOf"))
    return [found for one in inner for found in choices(one)] if inner else [schema]


def types(schema: dict[str, Any]) -> set[str]:
    """The JSON types that it allows; all of them where it says nothing."""
    found: set[str] = set()
    for choice in choices(schema):
        if "type" in choice:
            found |= {choice["type"]} | ({"integer"} if choice["type"] == "number" else set())
        elif "const" in choice or "enum" in choice:
            found.add("string")
        else:
            return set(OF_EACH_TYPE)
    return found


def fields(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[Field]:
    if "discriminator" in resolved(schema):
        # only with its tag would anybody look into it: tests/core/datasets/test_changes.py
        return
    for choice in choices(schema):
        for name, inner in choice.get("properties", {}).items():
            yield Field((*path, name), inner)
            yield from fields(inner, (*path, name))
        if choice.get("type") == "array" and choice.get("items"):
            yield from fields(choice["items"], (*path, "0"))


def objects(schema: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Where a body has an object with fields of its own: `()` is the body."""
    yield ()
    for field in fields(schema):
        if any("properties" in choice for choice in choices(field.schema)):
            yield field.path


def write_models() -> list[tuple[Route, dict[str, Any]]]:
    found = []
    for route in routes_of(APP):
        operation = DESCRIPTION["paths"].get(route.path.replace(":path", ""), {}).get(route.method.lower(), {})
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            found.append((route, content["application/json"]["schema"]))
    return found


MODELS = write_models()


@pytest.fixture
def operator_things(
    client: TestClient, database: Database, settings: Settings, principal: Principal, as_admin: dict[str, str]
) -> Things:
    """Of a workspace whose admin also runs the installation: no route is closed to them."""
    with database.session(SYSTEM) as session:
        identity.make_installation_admin(session, user_id=principal.user_id)
    workspace_id = principal.workspace_id
    return seed(client, database, settings, headers=as_admin, workspace_id=workspace_id, worker="w-1-aaaaaaaa")


def refused_params(answer: Any) -> set[str]:  # noqa: ANN401 - a response
    if answer.status_code != 400:
        return set()
    error = answer.json()["error"]
    return {str(one["param"]) for one in error.get("details", {}).get("errors", [])} | {str(error["param"])}


@pytest.mark.parametrize(("route", "schema"), MODELS, ids=lambda value: str(value) if isinstance(value, Route) else "")
class TestBody:
    def test_a_field_that_it_does_not_have_is_refused_by_name(
        self,
        client: TestClient,
        as_admin: dict[str, str],
        operator_things: Things,
        owner_engine: Engine,
        backends: Backends,
        route: Route,
        schema: dict[str, Any],
    ) -> None:
        before, taken = fingerprint(owner_engine, backends), []
        for place in objects(schema):
            if (str(route), place) in ECHOED:
                continue
            known = {field.path for field in fields(schema)}
            for name in PROTECTED:
                planted = Field((*place, name), {})
                if planted.path in known:
                    continue
                body = _merged(BODIES.get(str(route), {}), planted.body("planted"))
                answer = client.request(route.method, operator_things.url(route), headers=as_admin, json=body)
                if not any(_is_below(param, planted.name) for param in refused_params(answer)):
                    taken.append((planted.name, answer.status_code, answer.text[:300]))
        assert taken == []
        assert difference(before, fingerprint(owner_engine, backends)) == {}

    def test_a_value_of_another_type_is_refused(
        self,
        client: TestClient,
        as_admin: dict[str, str],
        operator_things: Things,
        route: Route,
        schema: dict[str, Any],
    ) -> None:
        taken = []
        for field in fields(schema):
            for kind in OF_EACH_TYPE.keys() - types(field.schema):
                body = field.body(OF_EACH_TYPE[kind])
                answer = client.request(route.method, operator_things.url(route), headers=as_admin, json=body)
                if not any(_is_below(param, field.name) for param in refused_params(answer)):
                    taken.append((field.name, kind, answer.status_code, answer.text[:300]))
        assert taken == []

    def test_a_value_at_the_limits_is_taken_or_refused_and_never_breaks_anything(
        self,
        client: TestClient,
        as_admin: dict[str, str],
        operator_things: Things,
        route: Route,
        schema: dict[str, Any],
    ) -> None:
        headers = as_admin | {"content-type": "application/json"}
        for number, field in enumerate(fields(schema)):
            # a third of the values each: every value meets every body, and every field some of the values
            for value in AT_THE_LIMITS[number % 3 :: 3]:
                body = json.dumps(_merged(BODIES.get(str(route), {}), field.body("…value…"))).replace(
                    '"…value…"', value
                )
                body = body.replace('"\\u2026value\\u2026"', value)
                answer = client.request(
                    route.method, operator_things.url(route), headers=headers, content=body.encode()
                )
                assert answer.status_code in {200, 400, 403, 404, 409, 413, 422, 429}, (field.name, value, answer.text)


def test_there_is_something_to_try() -> None:
    assert len(MODELS) > 10
    assert sum(1 for _, schema in MODELS for _ in fields(schema)) > 100


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    return base | {
        name: _merged(base[name], value) if isinstance(value, dict) and isinstance(base.get(name), dict) else value
        for name, value in over.items()
    }


def _is_below(param: str, name: str) -> bool:
    """Pydantic names the branch of a union between: `method.dpo.DpoBody.extra` for `method.dpo.extra`."""
    wanted = name.split(".")
    parts = iter(param.split("."))
    return all(part in parts for part in wanted)
