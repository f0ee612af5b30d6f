"""One loaded base model and its forward passes: a piece of a prompt, or one token for each of several sequences."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import torch
import transformers
from torch import nn
from transformers import AutoModelForCausalLM, GenerationConfig

from core.base_models import service as base_models
from core.base_models.types import MARKER_NAME
from core.errors import Invalid
from core.kit.hashing import sha256_bytes
from core.workers.hardware import CPU, key_of_gpu
from worker.inference.adapter_weights import AdapterWeights
from worker.inference.base_memory import device_and_dtype
from worker.inference.constraints import Constraints
from worker.inference.kv_cache import CacheView, KeyValueRows
from worker.inference.lora_linear import LoraLinear, LoraRouting, install_lora_layers
from worker.inference.prefix_cache import PrefixCache
from worker.training.data.chat_format import ChatFormat
from worker.training.parity import Identity, identity_of

logger = logging.getLogger(__name__)

Quantization = Literal["nf4"] | None
_NF4_BLOCK: Final = 64
# keys and values of several long conversations must fit beside the model
MAX_CONTEXT_TOKENS: Final = 32_768


@dataclass(frozen=True, slots=True)
class VariantKey:
    """A base model as an adapter was trained on it."""

    base_model: str
    quantization: Quantization = None

    @classmethod
    def of(cls, written: str) -> "VariantKey":
        """As `str` writes it. Raises `NotFound` for a model we do not know, `Invalid` for another rounding."""
        base_model, _, rounding = written.partition("@")
        if rounding not in ("", "nf4"):
            raise Invalid(f"{written!r} is no base model: after the @ there can only be nf4.", code="variant_unknown")
        return cls(base_models.get(base_model).id, "nf4" if rounding else None)

    def __str__(self) -> str:
        return self.base_model if self.quantization is None else f"{self.base_model}@{self.quantization}"


@dataclass(frozen=True, slots=True)
class DecodeRow:
    """What a sequence brings to a decode step: its last token, its place in the cache, and its adapter."""

    token_id: int
    position: int
    adapter: AdapterWeights | None


class BaseRuntime:
    """Not safe for threads: one scheduler thread owns the forward passes. Any may use `chat_format`, `constraints`."""

    def __init__(
        self,
        model: nn.Module,
        chat_format: ChatFormat,
        *,
        end_ids: frozenset[int],
        context_tokens: int,
        fingerprint: str,
        identity: Identity,
        max_prefix_bytes: int = 0,
    ) -> None:
        self.chat_format = chat_format
        self.fingerprint = fingerprint
        self.identity = identity
        self.end_ids = end_ids
        self.context_tokens = context_tokens
        self.cache = KeyValueRows()
        self.prefixes = PrefixCache(max_bytes=max_prefix_bytes)
        self._model = model
        self._routing = LoraRouting()
        self.linear_shapes: Mapping[str, tuple[int, int]] = install_lora_layers(model, self._routing)
        first = next(model.parameters())
        self.device, self.dtype = first.device, first.dtype
        self.hardware = _hardware(first.device)
        config: Any = model.config
        self._sliding_window = _sliding_window(config)
        self._embeddings: nn.Module = cast("Any", model).get_input_embeddings()
        self.num_scores: int = cast("Any", model).get_output_embeddings().out_features
        """Token ids that can be drawn are below this."""
        self.constraints = Constraints(chat_format, num_scores=self.num_scores, end_ids=end_ids)

    @property
    def width(self) -> int:
        """Size of an embedding."""
        return int(cast("Any", self._embeddings).embedding_dim)

    def weight(self, name: str) -> torch.Tensor:
        """The (out, in) weight that a layer of `linear_shapes` computes with."""
        return cast("torch.Tensor", self._model.get_submodule(name).weight)

    @torch.inference_mode()
    def prefill(self, row: int, token_ids: Sequence[int], begin: int, adapter: AdapterWeights | None) -> torch.Tensor:
        """Read a piece of a prompt into a row of the cache; returns the scores of the token after it.

        `begin` counts the prompt's own tokens. An adapter's learned vectors are read before the first of them, and
        all tokens stand that much later in the cache.
        """
        embeddings = self._embeddings(torch.tensor([list(token_ids)], device=self.device))
        place = begin
        if adapter is not None and adapter.prompt is not None:
            if begin == 0:
                embeddings = torch.cat([adapter.prompt[None], embeddings], dim=1)
            else:
                place += adapter.num_virtual_tokens
        num_tokens = place + embeddings.shape[1]
        self.cache.ensure(num_rows=row + 1, num_tokens=num_tokens)
        positions = torch.arange(place, num_tokens, device=self.device)[None]
        return self._forward(embeddings, positions, row, [adapter])[0]

    @torch.inference_mode()
    def decode(self, rows: Sequence[DecodeRow]) -> torch.Tensor:
        """One step for the sequences in rows 0 to n of the cache; returns a row of scores for each."""
        self.cache.ensure(num_rows=len(rows), num_tokens=max(row.position for row in rows) + 1)
        embeddings = self._embeddings(torch.tensor([[row.token_id] for row in rows], device=self.device))
        positions = torch.tensor([[row.position] for row in rows], device=self.device)
        return self._forward(embeddings, positions, 0, [row.adapter for row in rows])

    def _forward(
        self,
        embeddings: torch.Tensor,
        positions: torch.Tensor,
        first_row: int,
        adapters: Sequence[AdapterWeights | None],
    ) -> torch.Tensor:
        view = CacheView(self.cache, first_row, positions)
        mask: torch.Tensor | dict[str, torch.Tensor] = view.mask()
        if self._sliding_window is not None:
            mask = {"full_attention": view.mask(), "sliding_attention": view.mask(window=self._sliding_window)}
        self._routing.set(adapters)
        try:
            output = self._model(
                inputs_embeds=embeddings,
                position_ids=positions,
                attention_mask=mask,
                past_key_values=view,
                use_cache=True,
                logits_to_keep=1,
            )
        finally:
            self._routing.set(())
        return cast("torch.Tensor", output.logits[:, -1].to("cpu", torch.float32))


def load_runtime(folder: Path, quantization: Quantization, *, max_prefix_bytes: int = 0) -> BaseRuntime:
    """Read a prepared model folder. Slow (seconds), so never on the scheduler's thread.

    `max_prefix_bytes` of keys and values are kept of what was read, beside those of what is being answered.
    """
    device, dtype = device_and_dtype()
    model = AutoModelForCausalLM.from_pretrained(
        str(folder), dtype=dtype, local_files_only=True, use_safetensors=True, attn_implementation="sdpa"
    )
    model.to(device).eval().requires_grad_(requires_grad=False)
    chat_format = ChatFormat.load(folder)
    runtime = BaseRuntime(
        model,
        chat_format,
        end_ids=frozenset({chat_format.end_of_turn_id, *_end_ids(folder, model.config)}),
        context_tokens=min(MAX_CONTEXT_TOKENS, int(model.config.get_text_config().max_position_embeddings)),
        fingerprint=_fingerprint(folder, quantization, device, dtype),
        identity=identity_of(folder, chat_format),
        max_prefix_bytes=max_prefix_bytes,
    )
    if quantization == "nf4":
        round_to_nf4(module for module in model.modules() if isinstance(module, LoraLinear))
    return runtime


@torch.no_grad()
def round_to_nf4(layers: Iterable[LoraLinear | nn.Linear]) -> None:
    """Round linear layers' weights through NF4 with double quantisation, once, and keep them unpacked.

    A QLoRA adapter learned to correct exactly these rounded weights. Served from 4-bit storage they would be unpacked
    for every token; unpacked once they cost the memory of the plain model and run at its speed.
    """
    from bitsandbytes import functional as bnb  # noqa: PLC0415 - a slow import that plain LoRA does without

    for layer in layers:
        packed, state = bnb.quantize_4bit(
            layer.weight.data, blocksize=_NF4_BLOCK, compress_statistics=True, quant_type="nf4"
        )
        layer.weight.data = bnb.dequantize_4bit(packed, state).to(layer.weight.dtype)


def _end_ids(folder: Path, config: Any) -> set[int]:  # noqa: ANN401 - transformers carries no types
    declared = [getattr(config, "eos_token_id", None)]
    if (folder / "generation_config.json").exists():
        declared.append(GenerationConfig.from_pretrained(str(folder)).eos_token_id)
    flat = (one for entry in declared for one in (entry if isinstance(entry, list) else [entry]))
    return {token_id for token_id in flat if isinstance(token_id, int)}


def _sliding_window(config: Any) -> int | None:  # noqa: ANN401 - transformers carries no types
    layer_types = getattr(config, "layer_types", None) or ()
    if "sliding_attention" not in layer_types:
        return None
    return int(config.sliding_window)


def _fingerprint(folder: Path, quantization: Quantization, device: torch.device, dtype: torch.dtype) -> str:
    """Another one wherever an equal seed may give another answer: weights, rounding, device, threads, libraries."""
    marker = folder / MARKER_NAME
    parts = [
        marker.read_text() if marker.exists() else folder.name,
        quantization,
        _hardware(device),
        str(dtype),
        torch.get_num_threads(),
        torch.__version__,
        transformers.__version__,
    ]
    return f"fp_{sha256_bytes(json.dumps(parts).encode())[:10]}"


def _hardware(device: torch.device) -> str:
    """The key of the device's price."""
    if device.type != "cuda":
        return CPU
    properties = torch.cuda.get_device_properties(device)
    return key_of_gpu(properties.name, memory_bytes=properties.total_memory)
