"""Whether a folder is what an installation let out: every file by its digest, and the manifest by its signature.

Runs anywhere, without a database. What the folder says of its own key proves nothing; who wants to be sure brings the
key from the installation.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from core.errors import Invalid, Unavailable
from core.exports import signing
from core.exports.forms import KIND, MANIFEST, SIGNATURE
from core.kit.hashing import sha256_file

_MAX_BYTES = 1 << 24
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`problems` in plain sentences; none means that it is whole and signed with the given key."""

    key_id: str
    manifest: dict[str, Any]
    problems: tuple[str, ...]


def verify(folder: Path, *, public_key: str) -> Verdict:
    """Raises `Invalid` for what is no export at all."""
    content, signature = _read(folder / MANIFEST), signing.read_signature(_read(folder / SIGNATURE))
    problems = []
    if not signing.is_signed_by(public_key, content, signature.signature):
        whose = (
            "was changed after it was signed"
            if signature.key_id == signing.id_of(public_key)
            else f"was signed with another key ({signature.key_id}) than that of the installation "
            f"({signing.id_of(public_key)})"
        )
        problems.append(f"{MANIFEST} {whose}, so nothing it says can be believed.")
    manifest = _parsed(content)
    return Verdict(key_id=signature.key_id, manifest=manifest, problems=(*problems, *_files(folder, manifest)))


def key_of(url: str) -> str:
    """The public key that an installation shows. Raises `Unavailable`."""
    try:
        answer = httpx.get(f"{url.rstrip('/')}/v1/signing_key", timeout=_TIMEOUT_S)
        answer.raise_for_status()
        return str(answer.json()["public_key"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(
            f"{url} does not say which key it signs with ({type(error).__name__}). Name an installation that answers "
            "with --url, or give its key with --key.",
            code="signing_key_unreachable",
        ) from error


def _files(folder: Path, manifest: dict[str, Any]) -> list[str]:
    problems = []
    promised: dict[str, Any] = manifest["files"]
    for name, entry in sorted(promised.items()):
        path = folder / name
        if Path(name).name != name or path.is_symlink() or not path.is_file():
            problems.append(f"{name!r} is missing.")
        elif sha256_file(path) != entry.get("sha256"):
            problems.append(f"{name!r} is not the file that was signed: its sha256 differs.")
    known = {*promised, MANIFEST, SIGNATURE}
    problems += [
        f"{path.name!r} was put there later: the manifest does not know it."
        for path in sorted(folder.iterdir())
        if path.name not in known
    ]
    return problems


def _read(path: Path) -> bytes:
    try:
        content = b"" if path.is_symlink() or path.stat().st_size > _MAX_BYTES else path.read_bytes()
    except OSError:
        content = b""
    if not content:
        raise Invalid(
            f"{path.parent} is no unpacked export: {path.name} cannot be read in it. Give the folder that the archive "
            "unpacks to.",
            code="not_an_export",
        )
    return content


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
        entries = {str(name): dict(entry) for name, entry in found["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid(f"{MANIFEST} cannot be read.", code="not_an_export") from error
    if found.get("kind") != KIND:
        raise Invalid(f"{MANIFEST} is none of Tailorbird's.", code="not_an_export")
    found["files"] = entries
    return dict(found)
