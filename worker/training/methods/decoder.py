"""A causal model of transformers, run over sequences packed end to end. Shapes: T tokens of the pack, D hidden size."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn


class Decoder:
    """What every method has of the base: last hidden states, the head that scores them, the cap of its logits."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - transformers has no types
        self.model = model
        self._decoder = model.get_decoder()

    @property
    def device(self) -> str:
        return str(next(self.model.parameters()).device)

    @property
    def head(self) -> nn.Module:
        return cast("nn.Module", self.model.get_output_embeddings())

    @property
    def logit_softcap(self) -> float | None:
        return cast("float | None", getattr(self.model.config.get_text_config(), "final_logit_softcapping", None))

    @property
    def embeddings(self) -> nn.Module:
        """From token ids to what `hidden_of_embeddings` takes."""
        return cast("nn.Module", self.model.get_input_embeddings())

    def hidden(self, token_ids_T: Tensor, *, sequence_lengths: Sequence[int]) -> Tensor:
        """Last hidden states [T, D] of sequences end to end; positions restart and attention stops at each."""
        return self._run(sequence_lengths, input_ids=token_ids_T[None])

    def hidden_of_embeddings(self, embeddings_TD: Tensor, *, sequence_lengths: Sequence[int]) -> Tensor:
        """The same for vectors in place of tokens."""
        return self._run(sequence_lengths, inputs_embeds=embeddings_TD[None])

    def _run(self, sequence_lengths: Sequence[int], **inputs: Tensor) -> Tensor:
        [device] = {tensor.device for tensor in inputs.values()}
        positions_T = torch.cat([torch.arange(length, device=device) for length in sequence_lengths])
        output = self._decoder(
            **inputs, position_ids=positions_T[None], use_cache=False, sequence_lengths=tuple(sequence_lengths)
        )
        return cast("Tensor", output.last_hidden_state[0])
