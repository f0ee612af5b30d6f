"""Full fine-tuning: every weight of the base learns, in float32; the arithmetic is in the machine's dtype.

Three times LoRA's memory for weights, gradients and moments, and the baseline that the other methods are measured by.
What comes out is a model of its own, in the dtype of the arithmetic.
"""

import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from copy import copy
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers.core_model_loading import revert_weight_conversion

from core.training.methods import FullMethod
from worker.training.methods import base
from worker.training.methods.decoder import Decoder
from worker.training.methods.model import Machine, TunedDecoder

_TOKENIZER_FILES = ("tokenizer*", "chat_template*", "special_tokens_map.json", "vocab.*", "merges.txt")


class FullModel(TunedDecoder):
    def __init__(self, decoder: Decoder, model_dir: Path, compute_dtype: torch.dtype) -> None:
        self.decoder, self._model_dir, self._compute_dtype = decoder, model_dir, compute_dtype

    @property
    def keeps_base(self) -> bool:
        return False

    def hidden(self, token_ids_T: Tensor, *, sequence_lengths: Sequence[int]) -> Tensor:
        is_narrow = self._compute_dtype != torch.float32
        with torch.autocast(torch.device(self.device).type, self._compute_dtype, enabled=is_narrow):
            hidden_TD = self.decoder.hidden(token_ids_T, sequence_lengths=sequence_lengths)
        return hidden_TD.to(self._compute_dtype)

    def reference(self) -> AbstractContextManager[None]:
        raise NotImplementedError("full fine-tuning keeps no base")

    def trainable(self) -> dict[str, nn.Parameter]:
        """Weights that are shared, as by a tied head, once."""
        return dict(self.decoder.model.named_parameters())

    def adapter_tensors(self) -> dict[str, Tensor]:
        """A copy of the whole model, under the names of the base's own file."""
        model = self.decoder.model
        again = {name for name, _ in model.named_parameters(remove_duplicate=False)} - set(self.trainable())
        state = {name: tensor for name, tensor in model.state_dict().items() if name not in again}
        shipped = revert_weight_conversion(model, state)
        return {
            name: weight.to("cpu", self._compute_dtype if weight.is_floating_point() else weight.dtype, copy=True)
            for name, weight in shipped.items()
        }

    def save_adapter_config(self, folder: Path) -> None:
        """What transformers needs beside the weights: sizes, the end of generation, the tokenizer."""
        model = self.decoder.model
        config = copy(model.config)
        config.dtype = self._compute_dtype
        config.save_pretrained(str(folder))
        model.generation_config.save_pretrained(str(folder))
        for pattern in _TOKENIZER_FILES:
            for path in self._model_dir.glob(pattern):
                shutil.copyfile(path, folder / path.name)


def prepare(method: FullMethod, model_dir: Path, *, machine: Machine) -> FullModel:  # noqa: ARG001 - nothing to choose
    model = base.load(model_dir, machine, dtype=torch.float32)
    base.fit(model, machine)
    return FullModel(Decoder(model), model_dir, machine.compute_dtype)
