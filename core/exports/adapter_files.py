"""An adapter's own files, read without an ML library: what it was bound to, and its configuration for others."""

import json
from collections.abc import Mapping
from typing import Any, Final

from core.exports.origin import hub_name

WEIGHTS: Final = "adapter_model.safetensors"
CONFIG: Final = "adapter_config.json"
_MAX_HEADER_BYTES: Final = 1 << 20
_HEADER_AT: Final = 8


def identity_in(reference: bytes) -> Mapping[str, Any]:
    """What the trainer's answers were bound to (template, tokenizer, base), from the head of that file; or nothing."""
    length = int.from_bytes(reference[:_HEADER_AT], "little")
    if length > _MAX_HEADER_BYTES:
        return {}
    try:
        header = json.loads(reference[_HEADER_AT : _HEADER_AT + length])
        found = json.loads(header["__metadata__"]["identity"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def config_for_others(content: bytes, base_model: str) -> bytes:
    """`adapter_config.json` that names the base as everybody knows it, at the revision it was trained on."""
    config = json.loads(content)
    known = hub_name(base_model)
    if known is not None:
        config["base_model_name_or_path"], config["revision"] = known
    return (json.dumps(config, indent=2, sort_keys=True) + "\n").encode()
