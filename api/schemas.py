"""What all bodies share."""

from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_before_validator_function

from core.jobs.waits import Wait, WaitReason
from core.kit.clock import unix_s

_NO_SCHEMAS = frozenset({"default", "fields", "metadata", "serialization"})


def _number(value: object) -> object:
    """What may be an integer: in JSON 3.0 is one."""
    if isinstance(value, str | bool):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


def _make_strict(part: object) -> None:
    """Each number and truth value in a schema, but for those of other models: they have a schema of their own."""
    if isinstance(part, list | tuple):
        for inner in part:
            _make_strict(inner)
    elif isinstance(part, dict):
        match part.get("type"):
            case "bool" | "float":
                part["strict"] = True
            case "function-before" if part["function"]["function"] is _number:
                # pydantic shows a model's schema again to whoever builds another with it
                return
            case "int":
                inner = dict(part)
                part.clear()
                part.update(no_info_before_validator_function(_number, cast("CoreSchema", inner)))
                return
        # the keys of `fields` are a model's own words, and may be any of these
        _make_strict(list(part.get("fields", {}).values()))
        for name, inner in part.items():
            if name not in _NO_SCHEMAS:
                _make_strict(inner)


class JsonBody(BaseModel):
    """What is sent, read with JSON's own types: `"3"` and `true` are no numbers, as the description says.

    pydantic's strict mode would do more than that: it refuses the name of an enum's member for the member.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _make_strict(handler.resolve_ref_schema(schema))
        return schema


class RequestBody(JsonBody):
    """Our own routes refuse fields they do not know, so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(extra="forbid")


class ResponseBody(BaseModel):
    # a field with a default is still always sent, so the generated client types must not call it optional
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None
    details: dict[str, Any] | None = Field(None, description="Left out where there is nothing more to say.")


class ErrorBody(ResponseBody):
    error: ErrorDetail


class JobWaitBody(ResponseBody):
    """Why nobody works yet on something that is to be done."""

    reason: WaitReason = Field(
        description="`no_worker`: no machine is here that could. `retry`: a try failed, and another is due. `turn`: "
        "others are before it, or all machines are at work. `start`: it begins at once."
    )
    message: str = Field(description="In plain words.")
    until: int | None = Field(description="Nobody begins with it before.")

    @classmethod
    def of(cls, wait: Wait | None) -> "JobWaitBody | None":
        if wait is None:
            return None
        until = None if wait.until is None else unix_s(wait.until)
        return cls(reason=wait.reason, message=wait.message, until=until)
