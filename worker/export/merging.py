"""An adapter merged into its base, file by file: W + s B A in float32, and back to the type of W.

The base is the un-quantised one. Files, names, types and everything that is not merged stay as the base has them, so
what loads the base loads the result. One file of weights is in memory at a time.

Shapes: O outputs, I inputs of a linear layer.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.errors import Invalid
from worker.inference.adapter_config import LoraConfig, parse_adapter_config
from worker.training.adapter_output import CONFIG, LAST, MANIFEST, WEIGHTS
from worker.training.parity import NAME as PARITY

_PREFIX: Final = "base_model.model."
_DOWN, _UP, _LENGTHS = ".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector"
# what transformers, tokenizers and their likes read beside the weights
_BESIDE: Final = ("*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.*", "LICENSE*", "NOTICE*")
_OURS: Final = frozenset({"tailorbird.json", MANIFEST, CONFIG, PARITY, LAST})


def merge(base_dir: Path, adapter_dir: Path, into: Path, *, on_file: Callable[[], None]) -> None:
    """Write the merged model. Raises `Invalid` for what cannot be merged."""
    config = parse_adapter_config((adapter_dir / CONFIG).read_bytes())
    if not isinstance(config, LoraConfig):
        raise Invalid(
            "This model learned vectors that are read before each conversation, and no weights: there is nothing to "
            "merge. Take its small form.",
            code="export_not_possible",
            param="format",
        )
    tensors = load_file(adapter_dir / WEIGHTS)
    left = {name.removeprefix(_PREFIX).removesuffix(_DOWN) for name in tensors if name.endswith(_DOWN)}
    for path in sorted(base_dir.glob("*.safetensors")):
        left -= _merge_file(path, into / path.name, tensors, config)
        on_file()
    if left:
        raise ValueError(f"the base has no weight of {min(left)}")
    copy_beside(base_dir, into)


def copy_whole(model_dir: Path, base_dir: Path, into: Path) -> None:
    """Of a model that full fine-tuning made: its own files, and from the base only what it has not."""
    copy_beside(base_dir, into)
    for path in model_dir.iterdir():
        if path.name not in _OURS:
            shutil.copyfile(path, into / path.name)


def copy_beside(base_dir: Path, into: Path) -> None:
    for pattern in _BESIDE:
        for path in base_dir.glob(pattern):
            if path.name not in _OURS and path.is_file():
                shutil.copyfile(path, into / path.name)


def old_names(folder: Path) -> None:
    """Say some things also in the words that transformers 4 and what grew around it look for."""
    config = json.loads((folder / "config.json").read_text())
    if "dtype" in config:
        config.setdefault("torch_dtype", config["dtype"])
    rope = config.get("rope_parameters")
    if isinstance(rope, dict) and "rope_theta" in rope:
        config.setdefault("rope_theta", rope["rope_theta"])
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    path = folder / "tokenizer_config.json"
    if path.exists():
        tokenizer = json.loads(path.read_text())
        if tokenizer.get("tokenizer_class") == "TokenizersBackend":
            tokenizer["tokenizer_class"] = "PreTrainedTokenizerFast"
        template = folder / "chat_template.jinja"
        if template.exists():
            tokenizer.setdefault("chat_template", template.read_text())
        path.write_text(json.dumps(tokenizer, indent=2, ensure_ascii=False) + "\n")


@torch.no_grad()
def _merge_file(path: Path, into: Path, tensors: dict[str, Tensor], config: LoraConfig) -> set[str]:
    """The names of the layers that were merged."""
    merged, out = set(), {}
    with safe_open(path, framework="pt") as weights:
        metadata = weights.metadata() or {"format": "pt"}
        for name in weights.keys():  # noqa: SIM118 - not a dict
            tensor = weights.get_tensor(name)
            layer = name.removesuffix(".weight")
            down = tensors.get(f"{_PREFIX}{layer}{_DOWN}")
            if down is not None:
                tensor = _merged(tensor, down, tensors[f"{_PREFIX}{layer}{_UP}"], config.scaling,
                                 tensors.get(f"{_PREFIX}{layer}{_LENGTHS}"))  # fmt: skip
                merged.add(layer)
            out[name] = tensor
    save_file(out, into, metadata=metadata)
    return merged


def _merged(weight_OI: Tensor, down: Tensor, up: Tensor, scaling: float, lengths_O: Tensor | None) -> Tensor:  # noqa: N803
    found = weight_OI.float() + scaling * (up.float() @ down.float())
    if lengths_O is not None:
        # DoRA: the merged rows, stretched to their learned lengths
        found *= (lengths_O.float() / torch.linalg.vector_norm(found, dim=1))[:, None]
    return found.to(weight_OI.dtype).contiguous()
