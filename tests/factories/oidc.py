"""A real OpenID provider on loopback, which also insists on PKCE, and can be made to answer with forged tokens."""

import base64
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import httpx
import oidc_provider_mock
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

Forge = Callable[["Provider", dict[str, Any]], str]


@dataclass
class Provider:
    """`forge` makes the ID token from the honest one's claims, if it is set."""

    issuer: str
    client_id: str = ""
    client_secret: str = ""
    forge: Forge | None = None
    challenges: dict[str, str] = field(default_factory=dict)
    # what came to the token endpoint, and what was asked of it at all
    exchanges: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    key: dict[str, Any] = field(default_factory=dict)

    def signed(self, claims: dict[str, Any], *, alg: str = "RS256", key: Any = None) -> str:  # noqa: ANN401 - a key
        found = key or RSAKey.import_key(self.key)
        kid = self.key.get("kid")
        return jwt.encode({"alg": alg} | ({"kid": kid} if kid else {}), claims, found, algorithms=[alg])

    def know(self, subject: str, **claims: Any) -> None:  # noqa: ANN401 - JSON values
        answer = httpx.put(f"{self.issuer}/users/{subject}", json=claims)
        assert answer.is_success, answer.text

    def consent(self, url: str, *, subject: str) -> str:
        """What a person does on the provider's page; where their browser is sent then."""
        answer = httpx.post(url, data={"sub": subject}, follow_redirects=False)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def refuse(self, url: str) -> str:
        answer = httpx.post(url, data={"action": "deny"}, follow_redirects=False)
        return answer.headers["location"]


@contextmanager
def running_provider(*, redirect_uri: str) -> Iterator[Provider]:
    # plain http, which its library allows nobody who does not say so
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    app = oidc_provider_mock.app(require_client_registration=True, require_nonce=True)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    provider = Provider(issuer=f"http://127.0.0.1:{server.server_port}")
    _insist_on_pkce(app, provider)
    _allow_forgery(app, provider)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        client = httpx.post(f"{provider.issuer}/oauth2/clients", json={"redirect_uris": [redirect_uri]}).json()
        provider.client_id, provider.client_secret = client["client_id"], client["client_secret"]
        yield provider
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def _insist_on_pkce(app: flask.Flask, provider: Provider) -> None:
    @app.before_request
    def check() -> flask.Response | None:
        provider.paths.append(flask.request.path)
        provider.key = flask.g.oidc_provider_mock_storage.jwk.as_dict(is_private=True)
        if flask.request.path == "/oauth2/authorize" and flask.request.args.get("code_challenge_method") != "S256":
            return flask.make_response({"error": "invalid_request"}, 400)
        if flask.request.path == "/oauth2/token":
            form = flask.request.form.to_dict()
            provider.exchanges.append(form)
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            if provider.challenges.get(form["code"]) != base64.urlsafe_b64encode(digest).decode().rstrip("="):
                return flask.make_response({"error": "invalid_grant"}, 400)
        return None

    @app.after_request
    def remember(response: flask.Response) -> flask.Response:
        if flask.request.path == "/oauth2/authorize" and response.status_code == 302:
            query = parse_qs(urlsplit(response.headers["location"]).query)
            if "code" in query:
                provider.challenges[query["code"][0]] = flask.request.args["code_challenge"]
        return response


def _allow_forgery(app: flask.Flask, provider: Provider) -> None:
    @app.after_request
    def tamper(response: flask.Response) -> flask.Response:
        if provider.forge and flask.request.path == "/oauth2/token" and response.status_code == 200:
            body = response.get_json()
            payload = body["id_token"].split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            response.set_data(json.dumps(body | {"id_token": provider.forge(provider, claims)}))
        return response


def unsigned(claims: dict[str, Any]) -> str:
    parts = ({"alg": "none"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."
