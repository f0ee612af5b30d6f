"""Is it right, before how fast it is: NF4 against a reference of our own, loss and gradients against plain PEFT."""

import contextlib
import dataclasses
from typing import Any

import contestants
import synthetic
import torch
from contestants import Cell

# QLoRA (Dettmers et al. 2023), appendix E: quantiles of a normal distribution, 0 kept
_NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
_BLOCK, _BLOCK_OF_SCALES = 64, 256


def run(shape: str, *, device: str, dtype: torch.dtype, methods: tuple[str, ...]) -> dict[str, Any]:
    """Figures of every check, and in `failed` the names of those beyond their limit."""
    found: dict[str, Any] = {}
    limits: dict[str, float] = {}
    if "qlora" in methods:
        found["nf4_error"] = nf4_error(device)
        limits["nf4_error"] = 1e-6
    for method in methods:
        loss_error, gradient_error = against_peft(shape, method, device=device, dtype=dtype)
        found |= {f"{method}_loss_error": loss_error, f"{method}_gradient_error": gradient_error}
        limits |= {f"{method}_loss_error": 1e-3, f"{method}_gradient_error": 1e-2}
    found["failed"] = [name for name, limit in limits.items() if not found[name] <= limit]
    return found


def nf4_error(device: str) -> float:
    """Largest distance of bitsandbytes' unpacked weights from ours in float64, over the largest weight."""
    import bitsandbytes.functional as bnb  # noqa: PLC0415 - not on every machine

    torch.manual_seed(0)
    weight = torch.randn(512, 384, device=device)
    packed, state = bnb.quantize_4bit(weight, blocksize=_BLOCK, compress_statistics=True, quant_type="nf4")
    unpacked = bnb.dequantize_4bit(packed, state).double().cpu()
    # the first of two weights is in the high half of its byte
    both = packed.flatten().cpu().to(torch.uint8)
    places = torch.stack([both >> 4, both & 15], dim=1).flatten().long()
    codes = torch.tensor(_NF4, dtype=torch.float64)[places]
    scale_codes = state.state2.code.double().cpu()[state.absmax.cpu().long()]
    of_scales = state.state2.absmax.double().cpu().repeat_interleave(_BLOCK_OF_SCALES)[: len(scale_codes)]
    scales = scale_codes * of_scales + state.offset.double().cpu()
    ours = (codes.view(-1, _BLOCK) * scales[:, None]).view_as(unpacked)
    return float((ours - unpacked).abs().max() / ours.abs().max())


def against_peft(shape: str, method: str, *, device: str, dtype: torch.dtype) -> tuple[float, float]:
    """Relative distance of our loss, and of all LoRA gradients as one vector, from those of a plain PEFT model."""
    cell = Cell(model=shape, method=method, tokens=256, is_checkpointed=False, contestant="ours", longest=64)
    losses, gradients = [], []
    for contestant in ("ours", "hf_packed"):
        step = contestants.prepare(dataclasses.replace(cell, contestant=contestant), device=device, dtype=dtype)
        _draw(step.trainable)
        losses.append(float(step.compute()))
        gradients.append(
            {_short(name): weight.grad.detach().float().cpu() for name, weight in step.trainable.items()}  # type: ignore[union-attr]
        )
        del step
        synthetic.forget()
    ours, theirs = (torch.cat([found[name].flatten() for name in sorted(found)]) for found in gradients)
    return abs(losses[0] - losses[1]) / losses[1], float((ours - theirs).norm() / theirs.norm())


def _draw(trainable: dict[str, torch.nn.Parameter]) -> None:
    """Both matrices of every pair, the same for all contestants: B as it starts would leave A without a gradient."""
    draw = torch.Generator().manual_seed(1)
    for name in sorted(trainable, key=_short):
        weight = trainable[name]
        with torch.no_grad():
            weight.copy_(torch.randn(weight.shape, generator=draw) * 0.02)


def _short(name: str) -> str:
    with contextlib.suppress(ValueError):
        return name[name.index("layers.") :]
    return name
