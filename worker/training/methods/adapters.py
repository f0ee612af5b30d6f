"""The model as the loop sees it: a decoder, an output head, and the adapter's parameters."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from torch import Tensor, nn

_DROPOUT_NAME = "lora_dropout"


@dataclass(frozen=True, slots=True)
class TunableModel:
    peft_model: Any
    device: str

    @property
    def head(self) -> nn.Module:
        return cast("nn.Module", self.peft_model.get_base_model().get_output_embeddings())

    def hidden(self, token_ids_T: Tensor, *, row_lengths: Sequence[int]) -> Tensor:
        """Last hidden states [T, D] of rows laid end to end; positions restart and attention stops at each row."""
        positions_T = torch.cat([torch.arange(length, device=token_ids_T.device) for length in row_lengths])
        output = self.peft_model.get_base_model().get_decoder()(
            input_ids=token_ids_T[None], position_ids=positions_T[None], use_cache=False, row_lengths=tuple(row_lengths)
        )
        return cast("Tensor", output.last_hidden_state[0])

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


def attach(base: Any, *, rank: int, alpha: int, dropout: float) -> TunableModel:  # noqa: ANN401 - transformers has no types
    """Freezes the base and adds LoRA to every linear layer but the head; B starts at zero, so nothing changes yet."""
    config = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules="all-linear", bias="none", task_type="CAUSAL_LM"
    )
    with warnings.catch_warnings():
        # peft still reads a property that transformers has renamed
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
        peft_model = get_peft_model(base, config, autocast_adapter_dtype=False)
    for weight in peft_model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()  # updates of 1e-3 of a weight vanish in bfloat16's 8 bits
    peft_model.train()
    device = str(next(peft_model.parameters()).device)
    return TunableModel(peft_model=peft_model, device=device)
