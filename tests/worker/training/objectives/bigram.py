"""A model small enough to compute by hand: the next token depends on the last one alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from worker.training.batches import MicroBatch


class Bigram:
    """`logits[a, b]` is the score of b after a; the reference has a table of its own. The head changes nothing."""

    device, logit_softcap, keeps_base = "cpu", None, True

    def __init__(self, logits: Tensor, reference_logits: Tensor | None = None) -> None:
        self.logits = logits
        self.reference_logits = logits if reference_logits is None else reference_logits
        self.head = SimpleNamespace(weight=torch.eye(len(logits), dtype=logits.dtype))
        self._is_reference = False

    @classmethod
    def of_probs(cls, probs: list[list[float]], reference: list[list[float]] | None = None) -> "Bigram":
        tables = [torch.tensor(one, dtype=torch.float64).log() for one in (probs, reference) if one is not None]
        return cls(*tables)

    def hidden(self, token_ids: Tensor, *, sequence_lengths: Sequence[int]) -> Tensor:
        assert sum(sequence_lengths) == len(token_ids)
        return (self.reference_logits if self._is_reference else self.logits)[token_ids]

    @contextmanager
    def reference(self) -> Iterator[None]:
        self._is_reference = True
        yield
        self._is_reference = False

    def trainable(self) -> dict[str, nn.Parameter]:
        return {}


def batch_of(sequences: Sequence[tuple[Sequence[int], Sequence[float]]]) -> MicroBatch:
    """Of (tokens, weight of the prediction of each) pairs."""
    ids = [list(tokens) for tokens, _ in sequences]
    weights = [list(values) for _, values in sequences]
    return MicroBatch(
        token_ids_T=torch.tensor([token for one in ids for token in one]),
        targets_T=torch.tensor([token for one in ids for token in [*one[1:], 0]]),
        weights_T=torch.tensor([value for one in weights for value in [*one[1:], 0.0]]),
        sequence_lengths=tuple(map(len, ids)),
    )
