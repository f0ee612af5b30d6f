"""A linear layer that applies a different adapter to each stretch of a batch, around one frozen weight."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

import torch
from torch import nn
from torch.nn import functional

from worker.inference.adapter_weights import AdapterWeights, LoraPair

# Up to so many rows MKL multiplies faster the other way round, W x^T instead of x W^T, and a matrix with two columns
# faster than with one, which a single core does. SmolLM2-135M's head on two AVX2 cores: 8.5 ms for one row, 22 for two,
# 20 for eight; the other way round 5.6, 5.6 and 9.3. From some twenty rows on it is slower.
_FEW_ROWS: Final = 16


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


class FrozenLinear(nn.Module):
    """Shares the weight (out, in) and the bias (out) of a layer that is not trained. Inputs are (rows, tokens, in)."""

    def __init__(self, frozen: nn.Linear) -> None:
        super().__init__()
        self.weight = frozen.weight
        self.bias = frozen.bias

    @property
    def out_features(self) -> int:
        return len(self.weight)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        num_rows = inputs.shape[0] * inputs.shape[1]
        if num_rows > _FEW_ROWS or inputs.is_cuda:
            return functional.linear(inputs, self.weight, self.bias)
        rows = inputs.reshape(num_rows, -1)
        columns = (rows if num_rows > 1 else rows.repeat(2, 1)).t()
        product = (
            torch.mm(self.weight, columns)
            if self.bias is None
            else torch.addmm(self.bias[:, None], self.weight, columns)
        )
        return product.t().contiguous()[:num_rows].view(*inputs.shape[:2], -1)


class LoraLinear(FrozenLinear):
    def __init__(self, name: str, frozen: nn.Linear, routing: LoraRouting) -> None:
        super().__init__(frozen)
        self.name = name
        self._routing = routing

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        output = super().forward(inputs)
        if not self._routing.segments:
            return output
        num_tokens = inputs.shape[1]
        # views of two dimensions, and of one for a row alone: a step of many small products is mostly their overhead
        flat_inputs, flat_output = inputs.reshape(-1, inputs.shape[-1]), output.view(-1, output.shape[-1])
        alone = list(zip(flat_inputs.unbind(), flat_output.unbind(), strict=True)) if num_tokens == 1 else None
        for begin, end, adapter in self._routing.segments:
            pair = adapter.pairs.get(self.name)
            if pair is None:
                continue
            if alone and end == begin + 1:
                row, own = alone[begin]
                own.addmv_(pair.up, pair.down.mv(row))
            else:
                own = flat_output[begin * num_tokens : end * num_tokens]
                rows = flat_inputs[begin * num_tokens : end * num_tokens]
                own.addmm_(rows.mm(pair.down.t()), pair.up.t())
            self._stretch(own, pair)
        return output

    def _stretch(self, own: torch.Tensor, pair: LoraPair) -> None:
        if pair.stretch is not None:
            # the lengths are of the weights: the bias is added as it is
            bias = 0 if self.bias is None else self.bias
            own.copy_((own - bias) * pair.stretch + bias)


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
    """Replace every linear layer; returns the (out, in) size of each that may carry an adapter, by name."""
    linears = adaptable_layers(model)
    for name, module in linears.items():
        parent_name, _, child_name = name.rpartition(".")
        setattr(model.get_submodule(parent_name), child_name, LoraLinear(name, module, routing))
    cast("Any", model).set_output_embeddings(FrozenLinear(cast("Any", model).get_output_embeddings()))
    return sizes_of(linears)
