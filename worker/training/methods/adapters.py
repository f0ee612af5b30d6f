"""A base with low-rank adapters beside its linear layers, by PEFT."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from torch import Tensor, nn

from core.training.methods import LowRankMethod

_DROPOUT_NAME = "lora_dropout"


@dataclass(frozen=True, slots=True)
class LowRankModel:
    peft_model: Any
    device: str

    @property
    def head(self) -> nn.Module:
        return cast("nn.Module", self.peft_model.get_base_model().get_output_embeddings())

    def hidden(self, token_ids_T: Tensor, *, sequence_lengths: Sequence[int]) -> Tensor:
        """Last hidden states [T, D] of sequences end to end; positions restart and attention stops at each."""
        positions_T = torch.cat([torch.arange(length, device=token_ids_T.device) for length in sequence_lengths])
        output = self.peft_model.get_base_model().get_decoder()(
            input_ids=token_ids_T[None],
            position_ids=positions_T[None],
            use_cache=False,
            sequence_lengths=tuple(sequence_lengths),
        )
        return cast("Tensor", output.last_hidden_state[0])

    @property
    def logit_softcap(self) -> float | None:
        return cast("float | None", getattr(self.peft_model.config, "final_logit_softcapping", None))

    @property
    def keeps_base(self) -> bool:
        return True

    def reference(self) -> AbstractContextManager[None]:
        return cast("AbstractContextManager[None]", self.peft_model.disable_adapter())

    def rate_scale(self, name: str) -> float:  # noqa: ARG002
        return 1.0

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

    def load_trainable(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, weight in self.trainable().items():
                weight.copy_(tensors[name])

    def save_adapter_config(self, folder: Path) -> None:
        self.peft_model.peft_config["default"].save_pretrained(str(folder))


def attach(base: Any, method: LowRankMethod) -> LowRankModel:  # noqa: ANN401 - transformers has no types
    """Freezes the base and adds LoRA to every linear layer but the head; B starts at zero, so nothing changes yet."""
    config = LoraConfig(
        r=method.rank,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules="all-linear",
        bias="none",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # peft still reads a property that transformers has renamed
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
        peft_model = get_peft_model(base, config, autocast_adapter_dtype=False)
    for weight in peft_model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()  # updates of 1e-3 of a weight vanish in bfloat16's 8 bits
    peft_model.train()
    return LowRankModel(peft_model=peft_model, device=str(next(peft_model.parameters()).device))
