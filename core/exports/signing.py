"""The installation's signature under what it lets out: Ed25519 (RFC 8032) over the bytes of a manifest.

The private key is sealed like every kept secret. Whoever wants to know whether a folder is as it left the installation
needs the public key from there, not from the folder.
"""

import base64
import json
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy.orm import Session

from core.errors import Invalid
from core.exports.models import SigningKey
from core.exports.repository import SigningKeyRepository
from core.kit.hashing import sha256_bytes
from core.kit.sealing import Sealer

ALGORITHM = "ed25519"
_KEY_BYTES = 32
_ID_CHARS = 16


@dataclass(frozen=True, slots=True)
class Signer:
    key_id: str
    public_key: str
    private_key: Ed25519PrivateKey

    def signature_file(self, manifest: bytes) -> bytes:
        """What stands beside the manifest; the public key in it is for reading, and proves nothing."""
        told = {
            "algorithm": ALGORITHM,
            "key_id": self.key_id,
            "public_key": self.public_key,
            "signature": base64.b64encode(self.private_key.sign(manifest)).decode(),
        }
        return (json.dumps(told, indent=2, sort_keys=True) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature as it is told by its file."""

    key_id: str
    public_key: str
    signature: bytes


def ensure_key(session: Session, *, sealer: Sealer) -> SigningKey:
    """The installation's key; made when it is asked for the first time. Only by a process that has the sealing key."""
    repository = SigningKeyRepository(session)
    found = repository.get()
    if found is not None:
        return found
    private = Ed25519PrivateKey.generate()
    public_key = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    key_id = id_of(public_key)
    sealed = sealer.seal(base64.b64encode(private.private_bytes_raw()).decode(), context=_context(key_id))
    return repository.add_first(key_id=key_id, public_key=public_key, sealed_private_key=sealed)


def signer(session: Session, *, sealer: Sealer) -> Signer:
    """Raises `Unsealable` where the key is not known that sealed it."""
    key = ensure_key(session, sealer=sealer)
    private = base64.b64decode(sealer.open(key.sealed_private_key, context=_context(key.id)))
    return Signer(key.id, key.public_key, Ed25519PrivateKey.from_private_bytes(private))


def reseal(session: Session, sealer: Sealer) -> int:
    """Seal the private key anew if an earlier key sealed it; how many that were. Raises `Unsealable`."""
    key = SigningKeyRepository(session).get(for_update=True)
    if key is None or sealer.is_current(key.sealed_private_key):
        return 0
    context = _context(key.id)
    key.sealed_private_key = sealer.seal(sealer.open(key.sealed_private_key, context=context), context=context)
    session.flush()
    return 1


def id_of(public_key: str) -> str:
    """A short name for a public key (32 bytes of base64). Raises `Invalid` for what is none."""
    return sha256_bytes(_public_bytes(public_key))[:_ID_CHARS]


def read_signature(content: bytes) -> Signature:
    """Raises `Invalid` (`signature_unreadable`)."""
    try:
        told = json.loads(content)
        signature = base64.b64decode({ALGORITHM: told["signature"]}[told["algorithm"]], validate=True)
        public_key = str(told["public_key"])
        return Signature(key_id=id_of(public_key), public_key=public_key, signature=signature)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid("The signature beside the manifest cannot be read.", code="signature_unreadable") from error


def is_signed_by(public_key: str, manifest: bytes, signature: bytes) -> bool:
    """Whether the holder of this key signed exactly these bytes. Raises `Invalid` for what is no key."""
    try:
        Ed25519PublicKey.from_public_bytes(_public_bytes(public_key)).verify(signature, manifest)
    except InvalidSignature:
        return False
    return True


def _public_bytes(public_key: str) -> bytes:
    try:
        found = base64.b64decode(public_key, validate=True)
    except ValueError:
        found = b""
    if len(found) != _KEY_BYTES:
        raise Invalid(
            f"{public_key[:60]!r} is no public key: that is {_KEY_BYTES} bytes of base64, as the page Settings and "
            "GET /v1/signing_key show it.",
            code="public_key_malformed",
        )
    return found


def _context(key_id: str) -> str:
    return f"signing key {key_id}"
