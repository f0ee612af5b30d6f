"""Secrets that must be read again, sealed: `v1.<key id>.<base64 of nonce and ciphertext>` by AES-256-GCM.

The context (whose secret it is) is authenticated with it, so that a sealed value copied to another row does not open.
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = "v1"
_DERIVED_ID = "default"


class Unsealable(Exception):
    """The value was changed, belongs elsewhere, or was sealed with a key that is not here any more."""


@dataclass(frozen=True, slots=True)
class Sealer:
    """`keys` by id; the first seals, all of them open."""

    keys: Mapping[str, bytes]

    @classmethod
    def of_settings(cls, encryption_keys: str, secret_key: str) -> "Sealer":
        """From `id:base64,id:base64`; if that is empty, one key derived from `secret_key`. Raises `ValueError`."""
        if not encryption_keys.strip():
            return cls({_DERIVED_ID: hashlib.sha256(b"tailorbird sealing " + secret_key.encode()).digest()})
        keys: dict[str, bytes] = {}
        for pair in encryption_keys.split(","):
            key_id, _, encoded = pair.strip().partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except ValueError as error:
                raise ValueError(f"The encryption key {key_id!r} is not base64.") from error
            if not key_id or "." in key_id or key_id in keys or len(key) != KEY_BYTES:
                raise ValueError(
                    f"Each encryption key is `id:key` with an id of its own, without a dot, and {KEY_BYTES} bytes of "
                    f"base64; {key_id!r} is not."
                )
            keys[key_id] = key
        return cls(keys)

    def as_setting(self) -> str:
        """What `of_settings` reads back as `encryption_keys`: for a process that may open secrets and know no other."""
        return ",".join(f"{key_id}:{base64.b64encode(key).decode()}" for key_id, key in self.keys.items())

    def seal(self, secret: str, *, context: str) -> str:
        key_id, key = next(iter(self.keys.items()))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, secret.encode(), context.encode())
        return f"{_VERSION}.{key_id}.{base64.b64encode(sealed).decode()}"

    def open(self, sealed: str, *, context: str) -> str:
        """Raises `Unsealable`."""
        try:
            version, key_id, encoded = sealed.split(".")
            data = base64.b64decode(encoded, validate=True)
            if version != _VERSION:
                raise Unsealable(f"Nothing here opens a value sealed as {version!r}.")
            opened = AESGCM(self.keys[key_id]).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], context.encode())
        except KeyError as error:
            raise Unsealable(f"The key {error} that sealed this is not among the encryption keys.") from error
        except (ValueError, InvalidTag) as error:
            raise Unsealable("A sealed value was changed or belongs elsewhere.") from error
        return opened.decode()

    def is_current(self, sealed: str) -> bool:
        """Whether it was sealed with the key that seals now."""
        return sealed.split(".")[1:2] == [next(iter(self.keys))]
