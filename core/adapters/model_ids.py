"""The name of a tuned model on the wire: `ft:{base}:{workspace}:{suffix}:{8 characters}`.

A checkpoint beside it has the same and `:ckpt-step-{step}`.
"""

import re
import secrets
import unicodedata

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_NUM_RANDOM_CHARS = 8
_MAX_SUFFIX_CHARS = 64


def suffix_of(text: str) -> str:
    """`text` as a part of a model id: letters, digits, `-`, `_` and `.`; all else becomes one dash."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return re.sub(r"[^A-Za-z0-9_.]+", "-", plain).strip("-")[:_MAX_SUFFIX_CHARS]


def new_model_id(*, base_model: str, workspace_slug: str, suffix: str | None) -> str:
    """A fresh id; without a suffix its place stays empty (`…::…`), as on the OpenAI wire."""
    tail = "".join(secrets.choice(_ALPHABET) for _ in range(_NUM_RANDOM_CHARS))
    return f"ft:{base_model}:{workspace_slug}:{suffix_of(suffix or '')}:{tail}"


def checkpoint_model_id(model_id: str, step: int) -> str:
    return f"{model_id}:ckpt-step-{step}"
