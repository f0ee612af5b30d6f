"""A base with low-rank adapters beside its linear layers, by PEFT."""

import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from torch import Tensor, nn

from core.training.methods import LowRankMethod
from worker.training.methods import base, targets
from worker.training.methods.decoder import Decoder
from worker.training.methods.model import Machine, TunedDecoder

_DROPOUT_NAME = "lora_dropout"
_B_NAME = ".lora_B."


@dataclass(frozen=True, kw_only=True)
class LowRankModel(TunedDecoder):
    """`rate_of_b`: the learning rate of every B matrix over that of all else (LoRA+)."""

    peft_model: Any
    decoder: Decoder
    rate_of_b: float = 1.0

    @property
    def keeps_base(self) -> bool:
        return True

    def reference(self) -> AbstractContextManager[None]:
        return cast("AbstractContextManager[None]", self.peft_model.disable_adapter())

    def rate_scale(self, name: str) -> float:
        return self.rate_of_b if _B_NAME in name else 1.0

    def trainable(self) -> dict[str, nn.Parameter]:
        return {name: weight for name, weight in self.peft_model.named_parameters() if weight.requires_grad}

    def set_dropout(self, *, is_on: bool) -> None:
        """Dropout only: bitsandbytes repacks 4-bit weights for inference when a whole model is put in eval mode."""
        for name, module in self.peft_model.named_modules():
            if _DROPOUT_NAME in name:
                module.train(is_on)

    def adapter_tensors(self) -> dict[str, Tensor]:
        """A copy of the adapter under the names that plain PEFT loads."""
        state = get_peft_model_state_dict(self.peft_model)
        return {name: weight.detach().to("cpu", copy=True).contiguous() for name, weight in state.items()}

    def save_adapter_config(self, folder: Path) -> None:
        self.peft_model.peft_config["default"].save_pretrained(str(folder))


def attach(model: Any, method: LowRankMethod, *, machine: Machine, **options: Any) -> LowRankModel:  # noqa: ANN401 - transformers has no types
    """The base frozen, with LoRA beside the targeted linear layers; B starts at zero, so nothing changes yet.

    `options` are PEFT's, on top of the method's.
    """
    config = LoraConfig(
        r=method.rank,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=targets.names(model, method.target_modules),
        bias="none",
        task_type="CAUSAL_LM",
        **options,
    )
    with warnings.catch_warnings():
        # peft still reads a property that transformers has renamed
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
        peft_model = get_peft_model(model, config, autocast_adapter_dtype=False)
    for weight in peft_model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()  # updates of 1e-3 of a weight vanish in bfloat16's 8 bits
    peft_model.train()
    base.fit(model, machine)
    return LowRankModel(peft_model=peft_model, decoder=Decoder(model))
