"""The browser's side of signing in: the session cookie, and the proof that a request came from our own page.

An unsafe request with a cookie must come from our origin and carry the session's token in a header, which a foreign
page can neither read nor set.
"""

import hashlib
import hmac
from urllib.parse import urlsplit

from fastapi import Request, Response

from core.audit.origin import origin
from core.config import Settings
from core.errors import Forbidden, Invalid
from core.identity.types import Browser

CSRF_HEADER = "x-csrf-token"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_COOKIE = "tailorbird_session"
_OIDC_COOKIE = "tailorbird_oidc"
_SPACE = 0x20


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


def oidc_cookie_name(settings: Settings) -> str:
    return f"__Host-{_OIDC_COOKIE}" if is_https(settings) else _OIDC_COOKIE


def set_oidc_cookie(response: Response, settings: Settings, *, token: str, max_age_s: int) -> None:
    """Lax: the provider's page sends the browser back to us, and the cookie must come along."""
    response.set_cookie(
        oidc_cookie_name(settings),
        token,
        max_age=max_age_s,
        path="/",
        secure=is_https(settings),
        httponly=True,
        samesite="lax",
    )


def delete_oidc_cookie(response: Response, settings: Settings) -> None:
    response.delete_cookie(
        oidc_cookie_name(settings), path="/", secure=is_https(settings), httponly=True, samesite="lax"
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


def browser_of(request: Request) -> Browser:
    """As much of it as may be kept, by the same rule as in the audit log."""
    return Browser(user_agent=request.headers.get("user-agent"), address=origin.get().client_address)


def client_address(request: Request) -> str:
    """For counting only: whole, whatever may be kept of it."""
    found: str = request.state.client_address
    return found


def own_path(to: str) -> str:
    """A path of our own page, to send a browser to. Raises `Invalid` for what could lead anywhere else."""
    parts = urlsplit(to)
    # browsers read a backslash as a slash, and skip control characters
    is_own = to.startswith("/") and not to.startswith("//") and not parts.scheme and not parts.netloc
    if not is_own or "\\" in to or any(ord(char) <= _SPACE for char in to):
        raise Invalid("`to` must be a path of this site, such as /data.", code="foreign_address", param="to")
    return to


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
