"""The public REST API, as any outside program uses it, with every failure as one sentence."""

from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import httpx

from core.errors import AppError, Unavailable

_TIMEOUT_S = 60


class ApiClient:
    def __init__(self, base_url: str) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def sign_in(self, email: str, password: str) -> None:
        session = self.post("/v1/auth/sign_in", json={"email": email, "password": password})
        self._http.headers["x-csrf-token"] = session["csrf_token"]

    def use_key(self, key: str) -> None:
        """From now on, act by an API key and no longer as a signed-in person."""
        self._http.cookies.clear()
        self._http.headers.pop("x-csrf-token", None)
        self._http.headers["authorization"] = f"Bearer {key}"

    def get(self, path: str, **params: str | int) -> dict[str, Any]:
        return self._answer("GET", path, params=params)

    def post(self, path: str, **content: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's own arguments
        return self._answer("POST", path, **content)

    def delete(self, path: str) -> dict[str, Any]:
        return self._answer("DELETE", path)

    def _answer(self, method: str, path: str, **content: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's own arguments
        try:
            response = self._http.request(method, path, **content)
        except httpx.HTTPError as error:
            raise Unavailable(f"{self._http.base_url} does not answer: {error}.", code="api_unreachable") from error
        if response.is_success:
            return self._body(response)
        raise _refusal(response, f"{method} {path}")

    def _body(self, response: httpx.Response) -> dict[str, Any]:
        if not response.content:
            return {}
        try:
            body = response.json()
        except ValueError:
            body = None
        if isinstance(body, dict):
            return body
        raise Unavailable(
            f"What answers at {self._http.base_url} is not Tailorbird: {response.request.url.path} is no JSON there.",
            code="api_unexpected_answer",
        )


def _refusal(response: httpx.Response, request: str) -> AppError:
    try:
        error = response.json()["error"]
        message, code = str(error["message"]), str(error.get("code") or "request_refused")
    except (ValueError, KeyError, TypeError):
        message, code = f"status {response.status_code}", "request_refused"
        if response.has_redirect_location:
            message += f", which sends on to {response.headers['location']}; give that address"
    details: dict[str, Any] = {"status": response.status_code}
    with suppress(ValueError):
        details["retry_after_s"] = float(response.headers.get("retry-after", ""))
    return AppError(f"{request}: {message}", code=code, details=details)
