"""A browser's way to the OpenID provider and back. Works in a system session.

The browser keeps one random token. What the provider is sent derives from it (state, nonce, PKCE verifier), so that a
copied table is of no use, and nobody without the browser can finish what it began.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.errors import Unauthenticated
from core.identity.models import OidcFlow
from core.identity.oidc.repository import OidcFlowRepository
from core.kit.hashing import sha256_bytes

MAX_AGE_S = 10 * 60
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class FlowSecrets:
    token: str

    @property
    def state(self) -> str:
        return self._derived("state")

    @property
    def nonce(self) -> str:
        return self._derived("nonce")

    @property
    def code_verifier(self) -> str:
        """43 characters of base64url, the least that RFC 7636 allows: 256 bits."""
        return self._derived("code_verifier")

    def _derived(self, name: str) -> str:
        digest = hmac.new(self.token.encode(), name.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def begin(session: Session, *, return_to: str, user_id: str | None = None) -> FlowSecrets:
    """`user_id` is who links what comes back; without one, what comes back signs in."""
    found = FlowSecrets(secrets.token_urlsafe(_TOKEN_BYTES))
    OidcFlowRepository(session).add(
        token_sha256=sha256_bytes(found.token.encode()), return_to=return_to, user_id=user_id, max_age_s=MAX_AGE_S
    )
    return found


def finish(session: Session, *, token: str | None, state: str) -> tuple[OidcFlow, FlowSecrets]:
    """What a browser began, which cannot be finished again. Commit before the provider is asked for anything.

    Raises `Unauthenticated` if this browser began nothing, or something else than what it comes back with.
    """
    found = FlowSecrets(token or "")
    if not token or not hmac.compare_digest(found.state.encode(), state.encode()):
        raise Unauthenticated(
            "This is not the sign-in that this browser began. Start again from the sign-in page, in one tab.",
            code="oidc_state_mismatch",
        )
    flow = OidcFlowRepository(session).take(sha256_bytes(token.encode()))
    if flow is None:
        raise Unauthenticated(
            f"This sign-in was finished before, or was begun more than {MAX_AGE_S // 60} minutes ago. Start again.",
            code="oidc_flow_ended",
        )
    return flow, found
