"""The one OpenID provider of an installation: where browsers are sent, and what its answers are worth.

Authorization code with PKCE (OpenID Connect Core 1.0 section 3.1, RFC 7636, RFC 9700). What the provider says of itself
is found by discovery and kept for an hour; its keys are asked for again when a token names one that is not known.
"""

import base64
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from core.config import Settings
from core.errors import Unauthenticated, Unavailable
from core.identity.oidc.flows import FlowSecrets

logger = logging.getLogger(__name__)

CALLBACK_PATH = "/v1/auth/oidc/callback"
# signatures by a key that only the provider has: never `none`, nor HMAC with what we know too
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
_SCOPE = "openid email profile"
_TIMEOUT_S = 5.0
_METADATA_MAX_AGE_S = 3600
_KEYS_MIN_AGE_S = 30
# after a failure nobody waits for the next one
_PAUSE_S = 5.0
# how far the provider's clock may be from ours
_LEEWAY_S = 60
_MAX_BYTES = 1_000_000
_HTTP_OK = 200
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True, slots=True)
class Claims:
    """Whom the provider says it signed in. `email` is None unless the provider has verified it."""

    issuer: str
    subject: str
    email: str | None
    name: str


@dataclass(slots=True)
class _Known:
    metadata: dict[str, Any] = field(default_factory=dict)
    metadata_at: float = 0.0
    failed_at: float = float("-inf")
    keys: KeySet | None = None
    keys_at: float = 0.0


class OidcProvider:
    """Built once per process; safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._issuer = settings.oidc_issuer
        self._client_id = settings.oidc_client_id
        self._client_secret = settings.oidc_client_secret
        self._redirect_uri = settings.public_url.rstrip("/") + CALLBACK_PATH
        self._known = _Known()
        self._turn = threading.Lock()
        self.name = settings.oidc_name

    @property
    def is_configured(self) -> bool:
        return bool(self._issuer and self._client_id)

    def authorization_url(self, flow: FlowSecrets) -> str:
        """Where to send the browser. Raises `Unavailable`."""
        return str(
            prepare_grant_uri(
                self._metadata()["authorization_endpoint"],
                self._client_id,
                "code",
                redirect_uri=self._redirect_uri,
                scope=_SCOPE,
                state=flow.state,
                nonce=flow.nonce,
                code_challenge=create_s256_code_challenge(flow.code_verifier),
                code_challenge_method="S256",
            )
        )

    def claims_of(self, *, code: str, flow: FlowSecrets) -> Claims:
        """Exchange a code for whom it stands for. Raises `Unavailable`, or `Unauthenticated` (`oidc_refused`)."""
        tokens = self._exchanged(code, flow)
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise _refused("the answer holds no ID token")
        claims = self._verified(id_token, access_token, flow)
        told = dict(claims)
        if "email" not in told:
            told |= self._user_info(access_token, subject=claims["sub"])
        # some write the word and mean the boolean
        is_verified = told.get("email_verified") is True or told.get("email_verified") == "true"
        email = told.get("email")
        return Claims(
            issuer=self._issuer,
            subject=claims["sub"],
            email=email if is_verified and isinstance(email, str) else None,
            name=str(told.get("name") or told.get("preferred_username") or ""),
        )

    def _exchanged(self, code: str, flow: FlowSecrets) -> dict[str, Any]:
        metadata = self._metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": flow.code_verifier,
        }
        headers = {}
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if self._client_secret and "client_secret_basic" in methods:
            pair = f"{quote_plus(self._client_id)}:{quote_plus(self._client_secret)}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form |= {"client_id": self._client_id} | (
                {"client_secret": self._client_secret} if self._client_secret else {}
            )
        answer = self._asked("POST", metadata["token_endpoint"], data=form, headers=headers)
        if answer.status_code != _HTTP_OK:
            raise _refused(f"the code was not taken (status {answer.status_code})")
        return _object(answer)

    def _verified(self, id_token: str, access_token: str, flow: FlowSecrets) -> CodeIDToken:
        try:
            token = self._decoded(id_token)
            claims = CodeIDToken(
                token.claims,
                token.header,
                options={
                    "iss": {"essential": True, "value": self._issuer},
                    "aud": {"essential": True, "value": self._client_id},
                    "sub": {"essential": True},
                },
                params={"nonce": flow.nonce, "client_id": self._client_id, "access_token": access_token},
            )
            claims.validate(leeway=_LEEWAY_S)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise _refused(f"the ID token is not good: {error}") from error
        if not isinstance(claims["sub"], str):
            raise _refused("the ID token's subject is no text")
        return claims

    def _decoded(self, id_token: str) -> jwt.Token:
        try:
            return jwt.decode(id_token, self._keys(), algorithms=ALGORITHMS)
        except (JoseError, ValueError):
            # the provider may have changed its keys since
            if not self._forget_old_keys():
                raise
            return jwt.decode(id_token, self._keys(), algorithms=ALGORITHMS)

    def _user_info(self, access_token: str, *, subject: str) -> dict[str, Any]:
        endpoint = self._metadata().get("userinfo_endpoint")
        if not isinstance(endpoint, str):
            return {}
        answer = self._asked("GET", endpoint, headers={"authorization": f"Bearer {access_token}"})
        found = _object(answer) if answer.status_code == _HTTP_OK else {}
        # another subject's would be somebody else's (OpenID Connect Core 1.0 section 5.3.2)
        return found if found.get("sub") == subject else {}

    def _metadata(self) -> dict[str, Any]:
        with self._turn:
            now = time.monotonic()
            if not self._known.metadata or now - self._known.metadata_at > _METADATA_MAX_AGE_S:
                if now - self._known.failed_at < _PAUSE_S:
                    raise _unavailable()
                try:
                    self._known.metadata, self._known.metadata_at = self._discovered(), now
                except Unavailable:
                    self._known.failed_at = time.monotonic()
                    raise
            return self._known.metadata

    def _discovered(self) -> dict[str, Any]:
        """What the provider says of itself (OpenID Connect Discovery 1.0 section 4)."""
        url = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
        found = _object(self._asked("GET", url))
        if found.get("issuer") != self._issuer:
            logger.error("%s says that its issuer is %r: set TAILORBIRD_OIDC_ISSUER so", url, found.get("issuer"))
            raise _unavailable()
        if not all(isinstance(found.get(name), str) for name in _ENDPOINTS):
            logger.error("%s lacks one of %s", url, ", ".join(_ENDPOINTS))
            raise _unavailable()
        return found

    def _keys(self) -> KeySet:
        uri = self._metadata()["jwks_uri"]
        with self._turn:
            if self._known.keys is None:
                self._known.keys = KeySet.import_key_set(_object(self._asked("GET", uri)))  # type: ignore[arg-type]
                self._known.keys_at = time.monotonic()
            return self._known.keys

    def _forget_old_keys(self) -> bool:
        """Whether the keys may be asked for again: bad tokens must not make us ask each time."""
        with self._turn:
            if time.monotonic() - self._known.keys_at < _KEYS_MIN_AGE_S:
                return False
            self._known.keys = None
            return True

    def _asked(self, method: str, url: str, **content: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own arguments
        try:
            with httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False) as client:
                return client.request(method, url, **content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            logger.warning("the OpenID provider does not answer: %s", error)
            raise _unavailable() from error


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json() if len(answer.content) <= _MAX_BYTES else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        logger.warning("the OpenID provider answered %s with no JSON object", answer.request.url.path)
        raise _unavailable()
    return found


def _unavailable() -> Unavailable:
    return Unavailable(
        "The single sign-on does not answer as it should. Try again in a moment, or sign in with a password.",
        code="oidc_unavailable",
    )


def _refused(reason: str) -> Unauthenticated:
    # what exactly was wrong is for who runs the installation, not for whoever sent it
    logger.warning("a single sign-on was refused: %s", reason)
    return Unauthenticated(
        "The single sign-on did not prove who you are. Start again; if it happens twice, ask who runs this.",
        code="oidc_refused",
    )
