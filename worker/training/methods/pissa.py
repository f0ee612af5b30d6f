"""PiSSA: LoRA that starts at the weights' largest singular directions, and leaves the rest frozen.

    W = s B0 A0 + R,    y = R x + s B A x,    s B0 A0 the first singular directions of W

Meng et al. 2024. Over the unchanged W the tuned layer is W + s (B A - B0 A0): what is shipped is plain LoRA of twice
the rank, `[B, -B0]` and `[A; A0]`, equal but for the rounding of R.
"""

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor
from torch.nn.functional import pad

from core.training.methods import PissaMethod
from worker.training.methods import adapters, base
from worker.training.methods.adapters import LowRankModel
from worker.training.methods.model import Machine

_A, _B = "lora_A.default.weight", "lora_B.default.weight"
_START = "start."


@dataclass(frozen=True, kw_only=True)
class PissaModel(LowRankModel):
    """`first`: A0 and B0, by the names of A and B."""

    first: dict[str, Tensor]

    @property
    def keeps_base(self) -> bool:
        return False

    def start(self) -> dict[str, Tensor]:
        return {_START + name: weight for name, weight in self.first.items()}

    def load_trainable(self, tensors: Mapping[str, Tensor]) -> None:
        self._start_from({name: tensors[_START + name].to(self.device) for name in self.first})
        super().load_trainable(tensors)

    def adapter_tensors(self) -> dict[str, Tensor]:
        shipped = super().adapter_tensors()
        rank = 2 * self.peft_model.peft_config["default"].r
        for name, first in self.first.items():
            place = name.replace(".default", "")
            beside, dim = (first, 0) if name.endswith(_A) else (-first, 1)
            pair = torch.cat([shipped[place], beside.cpu()], dim=dim)
            # a layer narrower than the rank has fewer directions, and who loads an adapter expects as many everywhere
            missing = rank - pair.shape[dim]
            shipped[place] = pad(pair, (0, 0, 0, missing) if dim == 0 else (0, missing)).contiguous()
        return shipped

    def save_adapter_config(self, folder: Path) -> None:
        config = copy(self.peft_model.peft_config["default"])
        config.r, config.lora_alpha = 2 * config.r, 2 * config.lora_alpha  # the scale, alpha / r, stays
        config.init_lora_weights = True
        config.save_pretrained(str(folder))

    @torch.no_grad()
    def _start_from(self, first: Mapping[str, Tensor]) -> None:
        """The remainder that belongs to this start. The usual one is found again to the bit, and nothing is done.

        One that was found with other rounding may be quite another where singular values lie close together.
        """
        if all(torch.equal(first[name], own) for name, own in self.first.items()):
            return
        for name, layer in _layers(self):
            frozen, scale = layer.get_base_layer().weight, layer.scaling["default"]
            here, there = (start[f"{name}.{_B}"] @ start[f"{name}.{_A}"] for start in (self.first, first))
            frozen.copy_(frozen.float() + scale * (here - there))
        self.first.update(first)


def prepare(method: PissaMethod, model_dir: Path, *, machine: Machine) -> PissaModel:
    """The directions come from a randomised decomposition (Halko et al. 2011), decided by torch's seed."""
    model = base.load(model_dir, machine)
    tuned = adapters.attach(model, method, machine=machine, init_lora_weights=f"pissa_niter_{method.num_iterations}")
    first = {name: weight.detach().clone() for name, weight in tuned.trainable().items()}
    return PissaModel(peft_model=tuned.peft_model, decoder=tuned.decoder, first=first)


def _layers(model: LowRankModel) -> Iterator[tuple[str, LoraLayer]]:
    for name, module in model.peft_model.named_modules():
        if isinstance(module, LoraLayer):
            yield name, module
