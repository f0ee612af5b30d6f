"""Every kind of secret that is kept sealed, in one list, so that all of them can be sealed anew with another key."""

from collections.abc import Callable, Mapping

from sqlalchemy.orm import Session

from core.exports import signing
from core.identity.totp import service as totp
from core.kit.sealing import Sealer
from core.webhooks import service as webhooks

# by what they are called: seals those that another key than the current one has sealed, and says how many
KINDS: Mapping[str, Callable[[Session, Sealer], int]] = {
    "secrets of authenticator apps": totp.reseal,
    "secrets of webhooks": webhooks.reseal,
    "keys that manifests are signed with": signing.reseal,
}


def reseal(session: Session, *, sealer: Sealer) -> dict[str, int]:
    """How many of each kind were sealed anew. All or none: raises `Unsealable`. Needs a system session."""
    return {name: kind(session, sealer) for name, kind in KINDS.items()}
