"""What all bodies share."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class RequestBody(BaseModel):
    """Our own routes refuse fields they do not know, so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(extra="forbid")


class ResponseBody(BaseModel):
    # a field with a default is still always sent, so the generated client types must not call it optional
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class ErrorDetail(ResponseBody):
    message: str
    type: str
    param: str | None = None
    code: str | None = None
    details: dict[str, Any] | None = None


class ErrorBody(ResponseBody):
    error: ErrorDetail
