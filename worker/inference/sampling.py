"""The next token from the model's scores."""

import secrets
from collections import Counter

import torch

from core.inference.types import Sampling
from worker.inference.constraints import TokenMask


class Sampler:
    """One sequence's dice. The same seed, request and scores give the same tokens.

    Scores may differ in their last bits with what else is in the batch, so a seed makes answers repeatable in practice,
    not by proof.
    """

    def __init__(self, sampling: Sampling, mask: TokenMask | None = None) -> None:
        self._mask = mask
        self._temperature = sampling.temperature
        self._top_p = sampling.top_p
        self._penalties = _Penalties(sampling)
        self._dice = torch.Generator()
        self._dice.manual_seed(secrets.randbits(62) if sampling.seed is None else sampling.seed % (1 << 62))

    def choose(self, scores: torch.Tensor) -> int:
        """`scores` is one row of logits, float32, on the CPU; it is left as it is. Raises what the mask raises.

        What the mask forbids is never drawn: it has the last word, after penalties and bias.
        """
        scores = self._penalties.applied(scores)
        token_id = self._draw(self._mask.applied(scores) if self._mask else scores)
        if self._mask:
            self._mask.take(token_id)
        self._penalties.count(token_id)
        return token_id

    @property
    def is_complete(self) -> bool:
        """Whether the mask allows no more tokens."""
        return self._mask is not None and self._mask.is_complete

    def _draw(self, scores: torch.Tensor) -> int:
        if self._temperature == 0:
            return int(scores.argmax())
        chances = torch.softmax(scores / self._temperature, dim=-1)
        if self._top_p >= 1:
            return int(torch.multinomial(chances, 1, generator=self._dice))
        ordered, tokens = chances.sort(descending=True)
        # a token stays while those above it do not yet reach top_p; the first always stays
        ordered[ordered.cumsum(0) - ordered >= self._top_p] = 0
        return int(tokens[torch.multinomial(ordered, 1, generator=self._dice)])


class _Penalties:
    """What is added to the scores before a token is drawn.

    By OpenAI's formula: score - count * frequency_penalty - (count > 0) * presence_penalty + bias, where `count` is how
    often the token was drawn before in this answer.
    """

    def __init__(self, sampling: Sampling) -> None:
        self._presence, self._frequency = sampling.presence_penalty, sampling.frequency_penalty
        self._biased = torch.tensor(list(sampling.logit_bias), dtype=torch.long)
        self._biases = torch.tensor(list(sampling.logit_bias.values()), dtype=torch.float32)
        self._counts: Counter[int] = Counter()

    def applied(self, scores: torch.Tensor) -> torch.Tensor:
        if self._counts:
            drawn = torch.tensor(list(self._counts), dtype=torch.long)
            counts = torch.tensor(list(self._counts.values()), dtype=torch.float32)
            scores = scores.index_add(0, drawn, -(counts * self._frequency + self._presence))
        return scores.index_add(0, self._biased, self._biases) if len(self._biased) else scores

    def count(self, token_id: int) -> None:
        if self._presence or self._frequency:
            self._counts[token_id] += 1
