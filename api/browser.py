"""The browser's side of signing in: the session cookie, and the proof that a request came from our own page.

An unsafe request with a cookie must come from our origin and carry the session's token in a header, which a foreign
page can neither read nor set.
"""

import hashlib
import hmac
from urllib.parse import urlsplit

from fastapi import Request, Response

from core.config import Settings
from core.errors import Forbidden

CSRF_HEADER = "x-csrf-token"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_COOKIE = "tailorbird_session"


def is_https(settings: Settings) -> bool:
    return settings.public_url.startswith("https://")


def session_cookie_name(settings: Settings) -> str:
    """`__Host-` makes browsers refuse the cookie from a subdomain or over plain http."""
    return f"__Host-{_COOKIE}" if is_https(settings) else _COOKIE


def set_session_cookie(response: Response, settings: Settings, *, token: str) -> None:
    response.set_cookie(
        session_cookie_name(settings),
        token,
        max_age=settings.session_max_s,
        path="/",
        secure=is_https(settings),
        httponly=True,
        samesite="lax",
    )


def delete_session_cookie(response: Response, settings: Settings) -> None:
    response.delete_cookie(
        session_cookie_name(settings), path="/", secure=is_https(settings), httponly=True, samesite="lax"
    )


def csrf_token(settings: Settings, *, session_id: str) -> str:
    return hmac.new(settings.secret_key.encode(), f"csrf:{session_id}".encode(), hashlib.sha256).hexdigest()


def check_csrf(request: Request, settings: Settings, *, session_id: str) -> None:
    """Raises `Forbidden` for an unsafe request that did not come from our page."""
    if request.method in _SAFE_METHODS:
        return
    check_origin(request, settings)
    given = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(given.encode(), csrf_token(settings, session_id=session_id).encode()):
        raise Forbidden(
            f"The {CSRF_HEADER} header is missing or of another session. Reload the page and try again.",
            code="csrf_token_invalid",
        )


def check_origin(request: Request, settings: Settings) -> None:
    """Raises `Forbidden` if a browser says that another site's page sent this."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    if site in {"same-origin", "none"} and (origin is None or _is_our_origin(origin, request, settings)):
        return
    raise Forbidden("This request came from another site's page.", code="cross_site_request")


def _is_our_origin(origin: str, request: Request, settings: Settings) -> bool:
    try:
        found = urlsplit(origin)
    except ValueError:
        return False
    public = urlsplit(settings.public_url)
    # the address asked for is ours too (localhost for 127.0.0.1): a page cannot choose the Host header
    return (found.scheme, found.netloc) == (public.scheme, public.netloc) or found.netloc == request.headers.get("host")
