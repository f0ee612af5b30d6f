"""Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, as `client.webhooks.unwrap()` checks it.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping

_PREFIX = "whsec_"
_NUM_BYTES = 32
_NUM_SHOWN = 4


def new_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(_NUM_BYTES)).decode()


def hint(secret: str) -> str:
    """What a secret can be recognised by."""
    return f"{_PREFIX}…{secret.rstrip('=')[-_NUM_SHOWN:]}"


def headers(*, event_id: str, timestamp: int, body: str, signing_secrets: Iterable[str]) -> Mapping[str, str]:
    """One signature for each secret, with blanks between: whoever has any of them can tell that it is from us."""
    signatures = (signature(secret, event_id=event_id, timestamp=timestamp, body=body) for secret in signing_secrets)
    return {"webhook-id": event_id, "webhook-timestamp": str(timestamp), "webhook-signature": " ".join(signatures)}


def signature(secret: str, *, event_id: str, timestamp: int, body: str) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    digest = hmac.digest(key, f"{event_id}.{timestamp}.{body}".encode(), hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"
