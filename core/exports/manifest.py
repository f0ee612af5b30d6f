"""What is signed: where a model comes from, what was measured of it, and the sha256 of every file beside it."""

import json
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from core.exports.forms import KIND
from core.exports.types import ExportWork

VERSION: Final = 1


def build(
    work: ExportWork,
    *,
    files: Mapping[str, tuple[str, int]],
    trained: Mapping[str, Any],
    identity: Mapping[str, Any],
    report: Mapping[str, Any] | None,
    made_at: datetime,
) -> bytes:
    """`files` are sha256 and bytes by name; `trained` is the trainer's manifest, `identity` what it was bound to."""
    told = dict(work.told)
    lineage = trained.get("lineage") or {}
    if told.get("data") and lineage.get("dataset_sha256"):
        # as it was learned from; an erasure writes the version anew
        told["data"] = {**told["data"], "sha256": lineage["dataset_sha256"]}
    base = trained.get("base_model") or {}
    told["base_model"] = {
        **told["base_model"],
        "revision": base.get("revision") or told["base_model"].get("revision"),
        "folder_sha256": base.get("sha256"),
        "weights_sha256": identity.get("base_sha256"),
    }
    found = {
        "kind": KIND,
        "version": VERSION,
        "export_id": work.export_id,
        "format": work.export_format.value,
        "made_at": made_at.isoformat(),
        **told,
        "template_sha256": identity.get("template_sha256") or trained.get("chat_template_sha256"),
        "tokenizer_sha256": identity.get("tokenizer_sha256") or trained.get("tokenizer_sha256"),
        "trained_dtype": trained.get("compute_dtype"),
        "report": report,
        "files": {name: {"sha256": sha256, "bytes": num_bytes} for name, (sha256, num_bytes) in sorted(files.items())},
        "tailorbird_version": _version(),
    }
    return (json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _version() -> str:
    try:
        return version("tailorbird")
    except PackageNotFoundError:
        return "unreleased"
