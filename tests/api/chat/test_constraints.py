"""What the runtime is told of an answer's form, and what is refused before anybody looks for a model."""

import json
from typing import Any

import pytest

from core.inference.schemas import MAX_BYTES, MAX_DEPTH, MAX_ENUM_VALUES, MAX_PROPERTIES, MAX_SCHEMAS
from core.inference.types import Constraint
from tests.api.chat.conftest import Ask
from tests.factories.inference import FakeInference

pytestmark = pytest.mark.stack

POINT: dict[str, Any] = {
    "type": "object",
    "properties": {"y": {"type": "integer"}, "x": {"type": "integer"}},
    "required": ["y", "x"],
    "additionalProperties": False,
}
SCHEMA = "response_format.json_schema.schema"


def by(schema: dict[str, Any] | None, *, strict: bool | None = True) -> dict[str, Any]:
    return {
        "response_format": {"type": "json_schema", "json_schema": {"name": "p", "schema": schema, "strict": strict}}
    }


def tools(*named: str, strict: bool | None = None, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return [
        {"type": "function", "function": {"name": name, "strict": strict, "parameters": parameters}} for name in named
    ]


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def told(ask: Ask, inference: FakeInference, **body: object) -> Constraint | None:
    answer = ask(**body)
    assert answer.status_code == 200, answer.text
    return inference.requests[-1].constraint


class TestWhatTheRuntimeIsTold:
    def test_a_schema_in_the_order_of_its_properties(self, ask: Ask, inference: FakeInference) -> None:
        for strict in (True, False, None):
            found = told(ask, inference, **by(POINT, strict=strict))
            assert found is not None
            assert found.shape is not None
            assert list(json.loads(found.shape.json_schema)["properties"]) == ["y", "x"]
            assert (found.shape.is_strict, found.shape.param, found.calls) == (bool(strict), SCHEMA, ())

    def test_any_object(self, ask: Ask, inference: FakeInference) -> None:
        for asked in ({"response_format": {"type": "json_object"}}, by(None)):
            found = told(ask, inference, **asked)
            assert found is not None
            assert found.shape is not None
            assert json.loads(found.shape.json_schema) == {"type": "object"}

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"response_format": {"type": "text"}},
            {"tools": tools("f"), "tool_choice": "auto"},
            {"tools": tools("f", strict=True), "tool_choice": "none"},
            {"tools": tools("f", strict=False)},
        ],
    )
    def test_nothing_where_nothing_is_asked_for(self, ask: Ask, inference: FakeInference, body: dict[str, Any]) -> None:
        assert told(ask, inference, **body) is None

    @pytest.mark.parametrize(
        ("choice", "names", "must_call"),
        [
            ("required", ["f", "g"], True),
            (named("g"), ["g"], True),
            ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named("f")]}}, ["f"], False),
            ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named("f")]}}, ["f"], True),
        ],
    )
    def test_which_functions_may_be_called_and_whether_one_must(
        self, ask: Ask, inference: FakeInference, choice: object, names: list[str], must_call: object
    ) -> None:
        found = told(ask, inference, tools=tools("f", "g"), tool_choice=choice, **by(POINT))
        assert found is not None
        assert ([call.name for call in found.calls], found.must_call) == (names, must_call)
        # a call that must come leaves no room for a text
        assert (found.shape is None) is must_call
        assert len(inference.requests[-1].tools) == 2

    def test_strict_functions_bind_their_arguments_and_leave_the_choice(
        self, ask: Ask, inference: FakeInference
    ) -> None:
        asked = [*tools("f", strict=True, parameters=POINT), *tools("g")]
        found = told(ask, inference, tools=asked)
        assert found is not None
        assert not found.must_call
        assert [(call.name, call.is_strict, call.param) for call in found.calls] == [
            ("f", True, "tools[0].function.parameters"),
            ("g", False, "tools[1].function.parameters"),
        ]
        # whoever names no parameters has none
        assert json.loads(found.calls[1].json_schema)["additionalProperties"] is False


def nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(depth):
        found = {"items": found}
    return found


class TestRefusal:
    @pytest.mark.parametrize(
        ("schema", "words"),
        [
            ({"properties": {"a/b": {"uniqueItems": True}}}, "'uniqueItems' at #/properties/a~1b"),
            ({"$defs": {"n": {"not": {}}}, "$ref": "#/$defs/n"}, "'not' at #/$defs/n"),
            ({"anyOf": [{}, {"requried": ["a"]}]}, "'requried' at #/anyOf/1"),
            ({"items": {"type": "string", "format": "color"}}, "'color' at #/items/format"),
            ({"minProperties": 2}, "'minProperties' above 1 at #"),
        ],
    )
    def test_a_word_that_cannot_be_kept_to_is_named_with_its_place(
        self, ask: Ask, inference: FakeInference, schema: dict[str, Any], words: str
    ) -> None:
        for stream in (False, True):
            answer = ask(**by(schema), stream=stream)
            error = answer.json()["error"]
            assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
            assert (error["code"], error["param"]) == ("schema_unsupported", SCHEMA)
            assert words in error["message"]
        assert inference.requests == []
        assert ask(**by(schema, strict=False)).status_code == 200

    def test_in_a_function_the_place_is_the_functions(self, ask: Ask) -> None:
        asked = [*tools("f"), *tools("g", strict=True, parameters={"properties": {"a": {"not": {}}}})]
        error = ask(tools=asked).json()["error"]
        assert (error["code"], error["param"]) == ("schema_unsupported", "tools[1].function.parameters")
        assert "'not' at #/properties/a" in error["message"]

    @pytest.mark.parametrize(
        ("schema", "code"),
        [
            ({"$ref": "https://example.com/schema.json"}, "schema_unsupported"),
            ({"properties": {"a": {"$ref": "other.json#/a"}}}, "schema_unsupported"),
            (nested(MAX_DEPTH), "schema_too_large"),
            ({"description": "x" * MAX_BYTES}, "schema_too_large"),
            ({"enum": list(range(MAX_ENUM_VALUES + 1))}, "schema_too_large"),
            ({"properties": {f"p{at}": {} for at in range(MAX_PROPERTIES + 1)}}, "schema_too_large"),
            ({"anyOf": [{}] * MAX_SCHEMAS}, "schema_too_large"),
            ({"minItems": 10**9}, "schema_too_large"),
            ({"minLength": 10**9}, "schema_too_large"),
            ({"multipleOf": 999_983}, "schema_too_large"),
            ({"multipleOf": 0.000001234567}, "schema_too_large"),
            ({"multipleOf": 10**400}, "schema_too_large"),
            ({"anyOf": [{"multipleOf": 991}, {"multipleOf": 997}]}, "schema_too_large"),
            ({"items": {"allOf": [{"multipleOf": 0.7}, {"multipleOf": 1.51}]}}, "schema_too_large"),
            # where a schema is only a remark, until somebody refers to it
            ({"$ref": "#/default", "default": {"multipleOf": 999_983}}, "schema_too_large"),
            ({"$ref": "#/examples/0", "examples": [{"minItems": 10**9}]}, "schema_too_large"),
            ({"$ref": "#/x%2D~1", "x-/": {"properties": [1]}}, "schema_invalid"),
            ({"properties": [1]}, "schema_invalid"),
            ({"anyOf": {"a": {}}}, "schema_invalid"),
            ({"items": 7}, "schema_invalid"),
        ],
    )
    def test_what_nobody_should_try_is_refused_strict_or_not(
        self, ask: Ask, inference: FakeInference, schema: dict[str, Any], code: str
    ) -> None:
        for strict in (True, False):
            answer = ask(**by(schema, strict=strict))
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["param"]) == (400, code, SCHEMA)
        assert inference.requests == []

    def test_what_is_referred_to_is_looked_for_in_the_document_around_it(self, ask: Ask) -> None:
        inner = {"$id": "b", "default": {"multipleOf": 999_983}, "items": {"$ref": "#/default"}}
        answer = ask(**by({"$defs": {"a": inner}, "default": {}}, strict=False))
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "schema_too_large")

    def test_several_multiples_are_kept_to_where_they_are_easy_together(
        self, ask: Ask, inference: FakeInference
    ) -> None:
        schema = {
            "$defs": {"n": {"$ref": "#/$defs/m"}, "m": {"properties": {"a": {"$ref": "#/$defs/n"}}}},
            "properties": {"price": {"multipleOf": 0.01}, "six": {"multipleOf": 6}, "m": {"$ref": "#/$defs/m"}},
        }
        assert ask(**by(schema)).status_code == 200
        # apart, each is as easy as it is by itself
        assert ask(**by({"properties": {"a": {"multipleOf": 991}, "b": {"multipleOf": 997}}})).status_code == 200

    def test_parameters_are_those_of_an_object(self, ask: Ask) -> None:
        asked = tools("f", strict=True, parameters={"type": "array"})
        error = ask(tools=asked, tool_choice="required").json()["error"]
        assert (error["code"], error["param"]) == ("schema_invalid", "tools[0].function.parameters")

    @pytest.mark.parametrize(
        "choice",
        [
            named("h"),
            {"type": "custom", "custom": {"name": "f"}},
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [7]}},
        ],
    )
    def test_a_choice_that_names_no_function_is_refused(self, ask: Ask, choice: object) -> None:
        error = ask(tools=tools("f"), tool_choice=choice).json()["error"]
        assert (error["code"], error["param"]) == ("invalid_value", "tool_choice")
