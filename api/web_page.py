"""Serves the built web page beside the API: a path outside `/v1` and `/metrics` is a file of it, or its start page."""

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

_API = ("/v1", "/metrics")


def is_api_path(path: str) -> bool:
    return any(path == prefix or path.startswith(prefix + "/") for prefix in _API)


class WebPage:
    """Stands before the router, so that the router keeps its 404 and 405 for the API's own paths."""

    def __init__(self, app: ASGIApp, *, directory: Path) -> None:
        self._app = app
        self._start_page = directory / "index.html"
        self._files = StaticFiles(directory=directory, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._is_ours(scope):
            await self._app(scope, receive, send)
            return
        response = await self._response(scope)
        await response(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        return not is_api_path(scope["path"]) and scope["method"] in {"GET", "HEAD"} and self._start_page.is_file()

    async def _response(self, scope: Scope) -> Response:
        path = scope["path"].lstrip("/")
        is_hashed = path.startswith("assets/")
        if path:
            try:
                response = await self._files.get_response(path, scope)
            except HTTPException:
                if is_hashed:
                    # a page from before an update asks for a script that is gone: a start page would not parse as one
                    return Response(status_code=404)
            else:
                kept = "public, max-age=31536000, immutable" if is_hashed else "no-cache"
                response.headers["cache-control"] = kept
                return response
        return FileResponse(self._start_page, headers={"cache-control": "no-cache"})
