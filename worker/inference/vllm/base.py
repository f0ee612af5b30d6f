"""A base model as we must know it to ask vLLM: its tokens and its layers, not its weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from core.base_models.types import MARKER_NAME
from core.errors import Unavailable
from core.kit.hashing import sha256_bytes
from worker.inference.constraints import Constraints
from worker.inference.runtime import MAX_CONTEXT_TOKENS, VariantKey
from worker.training.data.chat_format import ChatFormat
from worker.training.parity import Identity, identity_of

_WEIGHT: Final = ".weight"
# tables of embeddings and the head carry no adapter
_NO_LAYERS: Final = ("embed_tokens", "lm_head")
_MAX_HEADER_BYTES: Final = 100 << 20


class Base:
    """Safe for threads. Also what an adapter is checked against (`adapter_weights.Base`)."""

    def __init__(self, folder: Path, key: VariantKey, *, hardware: str, max_context_tokens: int) -> None:
        config = _json(folder / "config.json")
        self.key = key
        self.folder = folder
        self.hardware = hardware
        self.chat_format = ChatFormat.load(folder)
        self.end_ids = frozenset({self.chat_format.end_of_turn_id, *_end_ids(folder, config)})
        readable = int(config["max_position_embeddings"])
        self.context_tokens = min(readable, max_context_tokens or MAX_CONTEXT_TOKENS)
        self.num_scores = int(config["vocab_size"])
        self.constraints = Constraints(self.chat_format, num_scores=self.num_scores, end_ids=self.end_ids)
        self.width = int(config["hidden_size"])
        self.linear_shapes: Mapping[str, tuple[int, int]] = _linear_shapes(folder)
        self.identity: Identity = identity_of(folder, self.chat_format)
        # an adapter's tensors are looked at here, and computed with elsewhere
        self.device, self.dtype = torch.device("cpu"), torch.float32
        self.serving_dtype = "float32" if hardware == "cpu" else "bfloat16"
        """As in our own runtime: a processor is exact, and a GPU has half the memory traffic."""

    def weight(self, name: str) -> torch.Tensor:
        """Only DoRA needs it, and that is not served here."""
        raise NotImplementedError(name)

    def fingerprint(self, version: str) -> str:
        """Another one wherever an equal seed may give another answer."""
        marker = self.folder / MARKER_NAME
        parts = ["vllm", version, marker.read_text() if marker.exists() else self.folder.name]
        return f"fp_{sha256_bytes(json.dumps([*parts, self.hardware, self.serving_dtype]).encode())[:10]}"


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"{path} cannot be read, so this base model cannot be served. An admin can put it back with: "
            f"python -m worker.base_models {path.parent.name}",
            code="base_model_not_ready",
            param="model",
        ) from error
    # models that also see keep what they read by in a part of their configuration
    inner = found.get("text_config")
    return {**found, **inner} if isinstance(inner, dict) else dict(found)


def _end_ids(folder: Path, config: Mapping[str, Any]) -> set[int]:
    declared = [config.get("eos_token_id")]
    if (folder / "generation_config.json").exists():
        declared.append(_json(folder / "generation_config.json").get("eos_token_id"))
    flat = (one for entry in declared for one in (entry if isinstance(entry, list) else [entry]))
    return {token_id for token_id in flat if isinstance(token_id, int)}


def _linear_shapes(folder: Path) -> dict[str, tuple[int, int]]:
    """By the heads of the weights' files: whatever has two dimensions and is no table."""
    shapes = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            num_bytes = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(num_bytes, _MAX_HEADER_BYTES)))
        for name, about in header.items():
            shape = about.get("shape", ())
            layer = name.removesuffix(_WEIGHT)
            if name.endswith(_WEIGHT) and len(shape) == 2 and not layer.endswith(_NO_LAYERS):  # noqa: PLR2004 - (out, in)
                shapes[layer] = (int(shape[0]), int(shape[1]))
    return shapes
