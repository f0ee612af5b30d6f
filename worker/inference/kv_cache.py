"""Keys and values of the sequences being generated, one row each, in tensors that grow when they must.

Rows 0 to n are kept without gaps, so that a batch is a view and no step copies what was computed before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch

_MIN_TOKENS: Final = 256
# an idle cache larger than this gives its memory back
_KEPT_TOKENS: Final = 2048


@dataclass(frozen=True, slots=True)
class KeyValues:
    """Of one sequence, a tensor (heads, tokens, size of a head) a layer."""

    keys: Sequence[torch.Tensor]
    values: Sequence[torch.Tensor]

    @property
    def num_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self.keys, *self.values))


class KeyValueRows:
    def __init__(self) -> None:
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        self._num_rows = 1
        self._num_tokens = _MIN_TOKENS

    @torch.inference_mode()
    def ensure(self, *, num_rows: int, num_tokens: int) -> None:
        """Make room; sizes double, so that growing is rare."""
        rows, tokens = self._num_rows, self._num_tokens
        while rows < num_rows:
            rows *= 2
        while tokens < num_tokens:
            tokens *= 2
        if (rows, tokens) == (self._num_rows, self._num_tokens):
            return
        for tensors in (self._keys, self._values):
            for layer, old in enumerate(tensors):
                tensors[layer] = old.new_zeros(rows, old.shape[1], tokens, old.shape[3])
                tensors[layer][: self._num_rows, :, : self._num_tokens] = old
        self._num_rows, self._num_tokens = rows, tokens

    @torch.inference_mode()
    def move(self, source: int, target: int, num_tokens: int) -> None:
        for tensor in (*self._keys, *self._values):
            tensor[target, :, :num_tokens] = tensor[source, :, :num_tokens]

    @torch.inference_mode()
    def copy(self, row: int, num_tokens: int) -> KeyValues:
        """What the first places of a row hold, to be kept beyond it."""
        keys, values = ([tensor[row, :, :num_tokens].clone() for tensor in one] for one in (self._keys, self._values))
        return KeyValues(keys, values)

    @torch.inference_mode()
    def put(self, row: int, kept: KeyValues, num_tokens: int) -> None:
        """Fill the first places of a row with what was copied from one before."""
        self.ensure(num_rows=row + 1, num_tokens=num_tokens)
        for layer, (keys, values) in enumerate(zip(kept.keys, kept.values, strict=True)):
            row_keys, row_values = self.layer(layer, keys[None])
            row_keys[row, :, :num_tokens] = keys[:, :num_tokens]
            row_values[row, :, :num_tokens] = values[:, :num_tokens]

    @torch.inference_mode()
    def clear(self, row: int) -> None:
        """Forget what a row held: a leftover that is not finite would poison the row's next owner through the mask."""
        for tensor in (*self._keys, *self._values):
            if row < tensor.shape[0]:
                tensor[row].zero_()

    def release(self) -> None:
        """Called when nothing is being generated."""
        if self._num_tokens > _KEPT_TOKENS:
            self._keys, self._values = [], []
            self._num_rows, self._num_tokens = 1, _MIN_TOKENS

    def layer(self, index: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The tensors of a layer; made at its first use, when the number of heads is known."""
        while len(self._keys) <= index:
            shape = (self._num_rows, like.shape[1], self._num_tokens, like.shape[3])
            # zeros, not empty: masked positions are multiplied by 0, and 0 x NaN is NaN
            self._keys.append(like.new_zeros(shape))
            self._values.append(like.new_zeros(shape))
        return self._keys[index], self._values[index]


class CacheView:
    """What one forward pass sees as its cache: `num_rows` rows from `first_row`, each writing at its own position."""

    def __init__(self, rows: KeyValueRows, first_row: int, positions: torch.Tensor) -> None:
        self._rows = rows
        self._first_row = first_row
        self._positions = positions
        self._begins: list[int] = positions[:, 0].tolist()
        self.num_keys = int(positions.max()) + 1

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_args: object, **_kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        kept_keys, kept_values = self._rows.layer(layer_idx, keys)
        first, num_rows, num_new = self._first_row, keys.shape[0], keys.shape[2]
        for offset, begin in enumerate(self._begins):
            kept_keys[first + offset, :, begin : begin + num_new] = keys[offset]
            kept_values[first + offset, :, begin : begin + num_new] = values[offset]
        rows = slice(first, first + num_rows)
        return kept_keys[rows, :, : self.num_keys], kept_values[rows, :, : self.num_keys]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """What transformers asks when no positions are given; we always give them."""
        del layer_idx
        return self._begins[0]

    def mask(self, *, window: int | None = None) -> torch.Tensor:
        """Which key each query may see, as (rows, 1, queries, keys)."""
        keys = torch.arange(self.num_keys, device=self._positions.device)
        queries = self._positions[:, None, :, None]
        visible = keys <= queries
        return visible if window is None else visible & (keys > queries - window)
