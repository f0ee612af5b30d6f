"""The next token from the model's scores."""

import secrets

import torch

from core.inference.types import Sampling


class Sampler:
    """One sequence's dice. The same seed, request and scores give the same tokens.

    Scores may differ in their last bits with what else is in the batch, so a seed makes answers repeatable in practice,
    not by proof.
    """

    def __init__(self, sampling: Sampling) -> None:
        self._temperature = sampling.temperature
        self._top_p = sampling.top_p
        self._dice = torch.Generator()
        self._dice.manual_seed(secrets.randbits(62) if sampling.seed is None else sampling.seed % (1 << 62))

    def choose(self, scores: torch.Tensor) -> int:
        """`scores` is one row of logits, float32, on the CPU."""
        if self._temperature == 0:
            return int(scores.argmax())
        chances = torch.softmax(scores / self._temperature, dim=-1)
        if self._top_p >= 1:
            return int(torch.multinomial(chances, 1, generator=self._dice))
        ordered, tokens = chances.sort(descending=True)
        # a token stays while those above it do not yet reach top_p; the first always stays
        ordered[ordered.cumsum(0) - ordered >= self._top_p] = 0
        return int(tokens[torch.multinomial(ordered, 1, generator=self._dice)])
