"""A linear layer that applies a different adapter to each stretch of a batch, around one frozen weight."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import nn
from torch.nn import functional

from worker.inference.adapter_weights import AdapterWeights


class Segment(NamedTuple):
    """Rows `begin` to `end` of the batch that share an adapter."""

    begin: int
    end: int
    adapter: AdapterWeights


class LoraRouting:
    """Who gets which adapter in the coming forward pass. One per model, read by all of its layers."""

    def __init__(self) -> None:
        self.segments: Sequence[Segment] = ()

    def set(self, adapters: Sequence[AdapterWeights | None]) -> None:
        """One entry a row; neighbours with the same adapter are computed together."""
        segments: list[Segment] = []
        for row, adapter in enumerate(adapters):
            if adapter is None:
                continue
            if segments and segments[-1].end == row and segments[-1].adapter is adapter:
                segments[-1] = segments[-1]._replace(end=row + 1)
            else:
                segments.append(Segment(row, row + 1, adapter))
        self.segments = segments


class LoraLinear(nn.Module):
    def __init__(self, name: str, frozen: nn.Linear, routing: LoraRouting) -> None:
        super().__init__()
        self.name = name
        self.weight = frozen.weight
        self.bias = frozen.bias
        self._routing = routing

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        output = functional.linear(inputs, self.weight, self.bias)
        for begin, end, adapter in self._routing.segments:
            pair = adapter.pairs.get(self.name)
            if pair is None:
                continue
            rows, own = inputs[begin:end], output[begin:end]
            own += functional.linear(functional.linear(rows, pair.down), pair.up)
            if pair.stretch is not None:
                # the lengths are of the weights: the bias is added as it is
                bias = 0 if self.bias is None else self.bias
                own.copy_((own - bias) * pair.stretch + bias)
        return output


def adaptable_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """The layers that may carry an adapter, by name: every linear one but the output head."""
    head = cast("Any", model).get_output_embeddings()
    return {
        name: module for name, module in model.named_modules() if isinstance(module, nn.Linear) and module is not head
    }


def sizes_of(layers: Mapping[str, nn.Linear]) -> dict[str, tuple[int, int]]:
    """The (out, in) size of each."""
    return {name: (layer.out_features, layer.in_features) for name, layer in layers.items()}


def install_lora_layers(model: nn.Module, routing: LoraRouting) -> Mapping[str, tuple[int, int]]:
    """Replace every linear layer but the output head; returns the (out, in) size of each by name."""
    linears = adaptable_layers(model)
    for name, module in linears.items():
        parent_name, _, child_name = name.rpartition(".")
        setattr(model.get_submodule(parent_name), child_name, LoraLinear(name, module, routing))
    return sizes_of(linears)
