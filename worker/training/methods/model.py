"""The model as the loop and the objectives see it, and the machine that a method prepares it for."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from worker.training.methods.decoder import Decoder


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a model is prepared: a function of the hardware and the plan, never of what is learned."""

    device: str
    """As torch names it: `cpu`, `cuda:0`."""
    compute_dtype: torch.dtype
    gradient_checkpointing: bool = False
    compile: bool = False


class TunableModel(Protocol):
    """A decoder, an output head, and the parameters that learn. Shapes: T tokens of the pack, D hidden size."""

    @property
    def decoder(self) -> Decoder:
        """The base, with what learns in its places."""

    @property
    def device(self) -> str: ...

    @property
    def head(self) -> nn.Module: ...

    @property
    def logit_softcap(self) -> float | None:
        """Of the model's configuration: logits are `c tanh(z / c)`."""

    @property
    def keeps_base(self) -> bool:
        """Whether `reference()` can be had: the base is untouched, and what is learned can be left out."""

    def hidden(self, token_ids_T: Tensor, *, sequence_lengths: Sequence[int]) -> Tensor:
        """Last hidden states [T, D] of sequences end to end; positions restart and attention stops at each."""

    def reference(self) -> AbstractContextManager[None]:
        """Within it the model computes as the untouched base; one may stand within another."""

    def trainable(self) -> dict[str, nn.Parameter]: ...

    def rate_scale(self, name: str) -> float:
        """What the learning rate is multiplied by for a parameter."""

    def set_dropout(self, *, is_on: bool) -> None: ...

    def start(self) -> dict[str, Tensor]:
        """What was drawn when the model was prepared, and a run that goes on must have too; empty for most methods.

        It is saved beside `trainable`, and given back to `load_trainable` with it.
        """

    def adapter_tensors(self) -> dict[str, Tensor]:
        """A copy, on the processor, of what is shipped, under the names that plain PEFT loads."""

    def load_trainable(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes back what `trainable` and `start` gave."""

    def save_adapter_config(self, folder: Path) -> None: ...


class TunedDecoder(ABC):
    """A `TunableModel` around a `Decoder`, of which a method says only what is its own.

    Unless it does, nothing is dropped or drawn, and everything learns at the one rate.
    """

    decoder: Decoder

    @abstractmethod
    def trainable(self) -> dict[str, nn.Parameter]: ...

    @property
    def device(self) -> str:
        return self.decoder.device

    @property
    def head(self) -> nn.Module:
        return self.decoder.head

    @property
    def logit_softcap(self) -> float | None:
        return self.decoder.logit_softcap

    def hidden(self, token_ids_T: Tensor, *, sequence_lengths: Sequence[int]) -> Tensor:
        return self.decoder.hidden(token_ids_T, sequence_lengths=sequence_lengths)

    def rate_scale(self, name: str) -> float:  # noqa: ARG002
        return 1.0

    def set_dropout(self, *, is_on: bool) -> None:  # noqa: B027 - not every method has any
        pass

    def start(self) -> dict[str, Tensor]:
        return {}

    def load_trainable(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, weight in self.trainable().items():
                weight.copy_(tensors[name])
