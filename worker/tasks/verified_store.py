"""Files to the object store: verified by reading them back, and a manifest last, once."""

import hashlib
import logging
from contextlib import suppress
from pathlib import Path

from core.backends.blobs import BlobStore
from core.errors import Conflict, NotFound, Unavailable

logger = logging.getLogger(__name__)

# one wrong answer may have been spoiled on its way; three in a row mean that the object is
MAX_READS = 3


def put_verified(blobs: BlobStore, key: str, path: Path, sha256: str) -> None:
    """Raises `Unavailable` (`adapter_damaged`) if what arrived is not what was sent."""
    blobs.put_file(key, path)
    verify(blobs, key, sha256)


def verify(blobs: BlobStore, key: str, sha256: str) -> None:
    """Compare the stored object with its digest. Raises `Unavailable` (`adapter_damaged`)."""
    for number in range(1, MAX_READS + 1):
        digest = hashlib.sha256()
        with suppress(NotFound):
            for chunk in blobs.read_chunks(key):
                digest.update(chunk)
        if digest.hexdigest() == sha256:
            return
        logger.warning("%s came back damaged (%d of %d)", key, number, MAX_READS)
    raise Unavailable(f"{key} arrived damaged.", code="adapter_damaged")


def put_manifest(blobs: BlobStore, key: str, manifest: bytes) -> None:
    """Make visible what it names. Raises `Conflict` if another manifest has that key already."""
    try:
        blobs.put_bytes(key, manifest, if_absent=True)
    except Conflict:
        # the client repeats a put whose answer was lost, and then meets its own object
        if blobs.read_bytes(key) != manifest:
            raise
