from fastapi import Response

from api.browser import session_cookie_name, set_session_cookie
from core.config import Settings


def cookie_for(public_url: str) -> str:
    response = Response()
    set_session_cookie(response, Settings(public_url=public_url), token="t")
    return response.headers["set-cookie"]


def test_over_https_the_cookie_is_bound_to_the_host_and_never_sent_in_clear() -> None:
    cookie = cookie_for("https://tailor.example.com")
    assert cookie.startswith("__Host-tailorbird_session=t")
    assert "Secure" in cookie
    assert "Domain" not in cookie


def test_over_http_browsers_would_refuse_such_a_cookie() -> None:
    assert session_cookie_name(Settings(public_url="http://127.0.0.1:8700")) == "tailorbird_session"
    assert "Secure" not in cookie_for("http://127.0.0.1:8700")
