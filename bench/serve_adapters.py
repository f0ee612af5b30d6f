"""Adapters of random weights for `bench/serve.py`: hot ones, a few with a trainer's scores, and many."""

import json
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from core.inference.types import AdapterFile, AdapterRef
from core.kit.hashing import sha256_bytes, sha256_file
from core.training.methods import LoraMethod
from core.training.spec import RunInput
from worker.training import adapter_output, parity
from worker.training.adapter_output import Made
from worker.training.data.chat_format import ChatFormat
from worker.training.methods import registry
from worker.training.methods.model import Machine

_STD = 0.01
_shapes: dict[str, tuple[int, int]] = {}


def make(base: Path, folder: Path, *, seed: int, rank: int) -> Path:
    """On all linear layers, as our recipes have it; what PEFT would save."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, (out_size, in_size) in _linear_shapes(base).items():
        down = torch.randn(rank, in_size, generator=generator) / in_size**0.5
        tensors[f"base_model.model.{name}.lora_A.weight"] = down
        tensors[f"base_model.model.{name}.lora_B.weight"] = torch.randn(out_size, rank, generator=generator) * _STD
    return _write(
        folder, tensors, rank=rank, targets=sorted({name.rpartition(".")[2] for name in _linear_shapes(base)})
    )


def train(base: Path, folder: Path, *, seed: int) -> Path:
    """By the trainer's own model, with the scores that it writes down for the proof."""
    torch.manual_seed(seed)
    method = LoraMethod(rank=16, alpha=32)
    model = registry.prepare(method, base, machine=Machine("cpu", torch.float32))
    with torch.no_grad():
        for name, weight in model.trainable().items():
            if "lora_B" in name:
                weight.normal_(std=_STD)
    chat_format = ChatFormat.load(base)
    said = [{"role": "user", "content": "Is my claim late?"}, {"role": "assistant", "content": "No, it is in time."}]
    rows = [chat_format.tokenize(said).token_ids, list(range(100, 160)), list(range(1000, 1096))]
    made = Made(
        model=model,
        run=RunInput(base_model=base.name, method=method, base_model_dir=base),
        identity=parity.identity_of(base, chat_format),
        compute_dtype=torch.float32,
        results={"best_step": 1, "steps": 1},
    )
    adapter_output.write(folder, made, model.adapter_tensors() | parity.answered(model, rows))
    return folder


def make_many(base: Path, store: Path, number: int) -> list[Path]:
    """Small ones, each of other bytes: two ranks on the layers that ask and answer, in bfloat16."""
    shapes = {name: shape for name, shape in _linear_shapes(base).items() if name.endswith(("q_proj", "v_proj"))}
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, (out_size, in_size) in shapes.items():
        down, up = torch.randn(2, in_size, generator=generator), torch.randn(out_size, 2, generator=generator)
        tensors[f"base_model.model.{name}.lora_A.weight"] = (down / in_size**0.5).bfloat16()
        tensors[f"base_model.model.{name}.lora_B.weight"] = (up * _STD).bfloat16()
    first = next(iter(tensors.values()))
    made = []
    for at in range(number):
        first.view(-1)[0] = at / number
        first.view(-1)[1] = at % 64
        made.append(_write(store / f"many-{at}", tensors, rank=2, targets=["q_proj", "v_proj"]))
    return made


def bytes_in_memory(adapter: Path) -> int:
    """As the runtime keeps it on a processor: in float32."""
    return sum(4 * tensor.numel() for tensor in load_file(adapter / adapter_output.WEIGHTS).values())


def reference(adapter: Path, url: str) -> AdapterRef:
    files = tuple(
        AdapterFile(name=path.name, url=f"{url}/{path.name}", sha256=sha256_file(path), num_bytes=path.stat().st_size)
        for path in sorted(adapter.iterdir())
    )
    digest = sha256_bytes("".join(file.sha256 for file in files).encode())
    return AdapterRef(id=f"adp_{adapter.name}", digest=digest, files=files)


def _write(folder: Path, tensors: dict[str, torch.Tensor], *, rank: int, targets: list[str]) -> Path:
    folder.mkdir(parents=True)
    save_file(tensors, folder / adapter_output.WEIGHTS, metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": targets,
        "bias": "none",
    }
    (folder / adapter_output.CONFIG).write_text(json.dumps(config))
    return folder


def _linear_shapes(base: Path) -> dict[str, tuple[int, int]]:
    """Names and (out, in) sizes of the layers that PEFT's `all-linear` means."""
    if not _shapes:
        model = get_peft_model(
            AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32),
            LoraConfig(r=1, target_modules="all-linear", task_type="CAUSAL_LM"),
        )
        for name, module in model.named_modules():
            if hasattr(module, "lora_A"):
                layer = module.get_base_layer()
                _shapes[name.removeprefix("base_model.model.")] = (layer.out_features, layer.in_features)
    return _shapes
