"""The OpenAPI description, where FastAPI says too much or too little of us."""

from typing import Any

from fastapi import FastAPI

from api.browser import session_cookie_name
from api.dependencies import PUBLIC_ROUTES
from core.config import Settings

_EVENT = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
    "description": "One server-sent event; `data` is JSON.",
}


def describe(app: FastAPI, settings: Settings) -> None:
    """From now on `app.openapi()` tells who may ask, and of errors only our own body."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        description = generate()
        components = description["components"]
        components["securitySchemes"] = _schemes(settings)
        for path, operations in description["paths"].items():
            for method, operation in operations.items():
                # FastAPI's own body of a 422; ours is a 400 with the body of every other error
                operation["responses"].pop("422", None)
                _describe_contents(operation["responses"])
                if (method.upper(), path) not in PUBLIC_ROUTES:
                    operation["security"] = [{name: []} for name in components["securitySchemes"]]
        for name in ("HTTPValidationError", "ValidationError"):
            components["schemas"].pop(name, None)
        return description

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way


def _describe_contents(responses: dict[str, Any]) -> None:
    """An error is JSON whatever a success would be; and of a stream it is the events that have a form."""
    error = responses["default"]["content"]
    responses["default"]["content"] = {"application/json": next(iter(error.values()))}
    for response in responses.values():
        stream = response.get("content", {}).get("text/event-stream")
        if stream is not None:
            stream["schema"] = _EVENT


def _schemes(settings: Settings) -> dict[str, Any]:
    return {
        "api_key": {"type": "http", "scheme": "bearer", "description": "A service's key: `tb_live_…`."},
        "browser_session": {
            "type": "apiKey",
            "in": "cookie",
            "name": session_cookie_name(settings),
            "description": "A browser that signed in; unsafe requests also carry the `x-csrf-token` of the session.",
        },
    }
