"""The OpenAPI description, where FastAPI says too much or too little of us."""

from typing import Any

from fastapi import FastAPI

from api.browser import session_cookie_name
from api.dependencies import PUBLIC_ROUTES
from core.config import Settings


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
                if (method.upper(), path) not in PUBLIC_ROUTES:
                    operation["security"] = [{name: []} for name in components["securitySchemes"]]
        for name in ("HTTPValidationError", "ValidationError"):
            components["schemas"].pop(name, None)
        return description

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way


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
