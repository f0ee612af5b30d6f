"""The layout that Amazon Bedrock's custom model import reads from S3: Hugging Face's files, and no others.

Amazon documents `.safetensors` weights in FP32, FP16 or BF16, `config.json`, `tokenizer_config.json`, `tokenizer.json`
and `tokenizer.model`, written in the words of transformers 4.
"""

import json
from pathlib import Path
from typing import Final

from core.errors import Invalid
from core.exports.forms import BEDROCK_ARCHITECTURES, bedrock_refusal

_READ: Final = frozenset(
    {
        "config.json",
        "generation_config.json",
        "merges.txt",
        "model.safetensors.index.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "vocab.json",
    }
)
_NEEDED: Final = ("config.json", "tokenizer.json", "tokenizer_config.json")


def arrange(packed: Path, base_model: str) -> None:
    """Leave what is read. Raises `Invalid` (`export_not_possible`) for a model that Amazon does not take."""
    architectures = set(json.loads((packed / "config.json").read_text()).get("architectures") or [])
    if not architectures or not architectures <= BEDROCK_ARCHITECTURES:
        raise Invalid(bedrock_refusal(base_model), code="export_not_possible", param="format")
    missing = [name for name in _NEEDED if not (packed / name).is_file()]
    if missing:
        raise Invalid(
            f"The base model's folder has no {missing[0]}, which Amazon Bedrock needs. Have an admin download the base "
            "model again.",
            code="export_not_possible",
            param="format",
        )
    for path in packed.iterdir():
        if path.name not in _READ and path.suffix != ".safetensors" and not path.name.startswith(("LICENSE", "NOTICE")):
            path.unlink()
