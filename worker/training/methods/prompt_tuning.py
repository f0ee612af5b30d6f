"""Prompt tuning: learned vectors before every sequence, in the place of embeddings, and nothing else.

Lester et al. 2021. Shapes: T tokens of the pack, S sequences, P learned vectors, D hidden size. Each sequence is read
as P + its tokens: its own positions begin at P, and attention still stops at its border. What the model says at the P
places is dropped, so that losses see T tokens as with any other method.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import PromptTuningConfig
from torch import Tensor, nn
from transformers import AutoTokenizer

from core.errors import Invalid
from core.training.methods import PromptTuningMethod
from worker.training.methods import base
from worker.training.methods.decoder import Decoder
from worker.training.methods.model import Machine, TunedDecoder

_NAME = "prompt_embeddings"  # PEFT's
_NUM_COMMON = 5000  # as in the paper; vocabularies made by merging list their commonest tokens first


class PromptModel(TunedDecoder):
    def __init__(self, decoder: Decoder, prompt_PD: Tensor) -> None:
        self.decoder = decoder
        self._prompt_PD = nn.Parameter(prompt_PD)
        self._is_on = True

    @property
    def keeps_base(self) -> bool:
        return True

    def hidden(self, token_ids_T: Tensor, *, sequence_lengths: Sequence[int]) -> Tensor:
        if not self._is_on:
            return self.decoder.hidden(token_ids_T, sequence_lengths=sequence_lengths)
        tokens_TD = self.decoder.embeddings(token_ids_T)
        prompt_PD = self._prompt_PD.to(tokens_TD.dtype)
        num_virtual = len(prompt_PD)
        rows = [part for own_D in torch.split(tokens_TD, list(sequence_lengths)) for part in (prompt_PD, own_D)]
        lengths = [num_virtual + length for length in sequence_lengths]
        hidden = self.decoder.hidden_of_embeddings(torch.cat(rows), sequence_lengths=lengths)
        return torch.cat([sequence[num_virtual:] for sequence in torch.split(hidden, lengths)])

    @contextmanager
    def reference(self) -> Iterator[None]:
        was_on, self._is_on = self._is_on, False
        try:
            yield
        finally:
            self._is_on = was_on

    def trainable(self) -> dict[str, nn.Parameter]:
        return {_NAME: self._prompt_PD}

    def adapter_tensors(self) -> dict[str, Tensor]:
        return {_NAME: self._prompt_PD.detach().to("cpu", copy=True)}

    def save_adapter_config(self, folder: Path) -> None:
        sizes = self.decoder.model.config.get_text_config()
        num_virtual, width = self._prompt_PD.shape
        PromptTuningConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=num_virtual,
            token_dim=width,
            num_transformer_submodules=1,
            num_attention_heads=sizes.num_attention_heads,
            num_layers=sizes.num_hidden_layers,
        ).save_pretrained(str(folder))


def prepare(method: PromptTuningMethod, model_dir: Path, *, machine: Machine) -> PromptModel:
    """The vectors start as embeddings of words: those of `init_text`, repeated or cut, else random ones by the seed."""
    model = base.load(model_dir, machine, quantization=method.quantization).requires_grad_(requires_grad=False)
    base.fit(model, machine)
    decoder = Decoder(model)
    token_ids_P = _first_token_ids(method, model_dir, vocab_size=model.get_input_embeddings().num_embeddings)
    with torch.no_grad():
        prompt_PD = decoder.embeddings(token_ids_P.to(decoder.device)).float()
    return PromptModel(decoder, prompt_PD)


def _first_token_ids(method: PromptTuningMethod, model_dir: Path, *, vocab_size: int) -> Tensor:
    tokenizer = AutoTokenizer.from_pretrained(str(model_dir), local_files_only=True)
    num_virtual = method.num_virtual_tokens
    text_ids = tokenizer(method.init_text or "", add_special_tokens=False)["input_ids"]
    if text_ids and max(text_ids) >= vocab_size:
        raise Invalid("This base model does not know all of init_text. Use other words.", code="init_text_unknown")
    if text_ids:
        return torch.tensor(text_ids).repeat(math.ceil(num_virtual / len(text_ids)))[:num_virtual]
    special = set(tokenizer.added_tokens_decoder)
    common = torch.tensor([one for one in range(min(vocab_size, _NUM_COMMON + len(special))) if one not in special])
    return common[torch.randint(len(common), (num_virtual,))]
