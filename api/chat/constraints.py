"""What a request makes the answer be: `response_format`, `tool_choice`, and functions that are `strict`.

`docs/chat.md` says what each promises.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field

from api.schemas import JsonBody, RequestBody
from core.errors import Invalid
from core.inference import schemas
from core.inference.types import CallShape, Constraint, JsonShape

_ANY_OBJECT: Final[dict[str, Any]] = {"type": "object"}
_NO_PARAMETERS: Final[dict[str, Any]] = {"type": "object", "properties": {}, "additionalProperties": False}


class FunctionBody(RequestBody):
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolBody(JsonBody):
    model_config = ConfigDict(extra="allow")

    type: str
    function: FunctionBody | None = None


class NamedSchema(RequestBody):
    # `schema` is a name of pydantic's own
    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    json_schema: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class ResponseFormat(RequestBody):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None


ToolChoice = Literal["none", "auto", "required"] | dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which functions may be called, of all that the model is told of, and whether it must be one of them."""

    names: frozenset[str]
    is_required: bool = False
    is_narrowed: bool = False


def to_constraint(
    response_format: ResponseFormat | None, tools: Sequence[ToolBody], tool_choice: ToolChoice | None
) -> Constraint | None:
    """None where the model may say what it likes. Raises `Invalid` for what contradicts itself or cannot be kept to."""
    functions = {tool.function.name: (at, tool.function) for at, tool in enumerate(tools) if tool.function}
    choice = _choice(tool_choice, frozenset(functions))
    shape = None if choice.is_required else _shape(response_format)
    allowed = [found for name, found in functions.items() if name in choice.names]
    is_any_strict = any(function.strict for _, function in allowed)
    if not (shape or choice.is_required or choice.is_narrowed or is_any_strict):
        return None
    return Constraint(
        shape=shape,
        calls=tuple(_call(function, at) for at, function in allowed),
        must_call=choice.is_required,
    )


def _shape(response_format: ResponseFormat | None) -> JsonShape | None:
    if response_format is None or response_format.type == "text":
        return None
    if response_format.type == "json_object":
        return JsonShape(json_schema=json.dumps(_ANY_OBJECT), param="response_format")
    asked = response_format.json_schema
    if asked is None:
        raise Invalid(
            "A response_format of type json_schema needs a json_schema with a name and a schema.",
            code="invalid_value",
            param="response_format.json_schema",
        )
    param, is_strict = "response_format.json_schema.schema", bool(asked.strict)
    schema = _ANY_OBJECT if asked.json_schema is None else asked.json_schema
    schemas.check(schema, param=param, is_strict=is_strict)
    return JsonShape(json_schema=json.dumps(schema), is_strict=is_strict, param=param)


def _call(function: FunctionBody, index: int) -> CallShape:
    param, is_strict = f"tools[{index}].function.parameters", bool(function.strict)
    schema = _NO_PARAMETERS if function.parameters is None else _ANY_OBJECT | function.parameters
    if schema["type"] != "object":
        raise Invalid(
            f"The parameters of {function.name} are those of an object: their schema's type is 'object', and not "
            f"{schema['type']!r}.",
            code="schema_invalid",
            param=param,
        )
    schemas.check(schema, param=param, is_strict=is_strict)
    return CallShape(name=function.name, json_schema=json.dumps(schema), is_strict=is_strict, param=param)


def _choice(asked: ToolChoice | None, names: frozenset[str]) -> _Choice:
    if asked in (None, "auto"):
        return _Choice(names)
    if asked == "none":
        return _Choice(frozenset())
    if not names:
        raise Invalid("tool_choice asks for a call, and there are no tools.", code="invalid_value", param="tool_choice")
    if asked == "required":
        return _Choice(names, is_required=True)
    match asked:
        case {"type": "function", "function": {"name": str(name)}}:
            return _Choice(_known([name], names), is_required=True)
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required" as mode, "tools": list(tools)}}:
            allowed = _known([_name(tool) for tool in tools], names)
            return _Choice(allowed, is_required=mode == "required", is_narrowed=True)
    raise Invalid(
        "tool_choice is none, auto, required, {type: function, function: {name}} or {type: allowed_tools, "
        "allowed_tools: {mode, tools}}.",
        code="invalid_value",
        param="tool_choice",
    )


def _name(tool: object) -> object:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    return function.get("name") if isinstance(function, Mapping) else None


def _known(asked: Sequence[object], names: frozenset[str]) -> frozenset[str]:
    unknown = [name for name in asked if name not in names]
    if unknown or not asked:
        raise Invalid(
            f"tool_choice names {unknown[0]!r}, and no function of tools has that name."
            if unknown
            else "tool_choice allows no tool at all.",
            code="invalid_value",
            param="tool_choice",
        )
    return frozenset(str(name) for name in asked)
