"""The proof of an adapter that vLLM will serve: the same rows, by the log probabilities that vLLM tells.

vLLM tells log probabilities and no scores. Both sides are therefore taken relative to the same tokens: those that the
trainer scored highest, of which vLLM tells so many.
"""

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence

import torch

from core.inference.types import Proof
from worker.inference import proof
from worker.inference.vllm.base import Base
from worker.inference.vllm.plain import name_of_plain
from worker.inference.vllm.wire import MAX_SCORED, Wire
from worker.training.parity import Reference

# a model's name, a prompt, and the tokens after it that are to be scored
Question = tuple[str, Sequence[int], Sequence[int]]
Ask = Callable[[Sequence[Question]], Sequence[Sequence[float]]]


async def all_scores(wire: Wire, questions: Sequence[Question]) -> list[list[float]]:
    """At once: vLLM computes them together."""
    return list(await asyncio.gather(*(wire.scores(*one) for one in questions)))


def prove(base: Base, reference: Reference, ask: Ask, *, adapter: str, fingerprint: str) -> Proof:
    """Raises what `ask` raises."""
    served = proof.Served(base.serving_dtype, base.hardware, fingerprint, base.identity)
    return proof.judged(served, reference, lambda: _compared(reference, ask, adapter, name_of_plain(base)))


def _compared(reference: Reference, ask: Ask, adapter: str, plain: str) -> proof.Compared:
    places = list(_places(reference))
    questions: list[Question] = [
        (model, prompt, ids.tolist()) for prompt, ids, _ in places for model in (adapter, plain)
    ]
    answers = [torch.tensor(one).log_softmax(0) for one in ask(questions)]
    difference = effect = 0.0
    for at, (_, _, scores) in enumerate(places):
        tuned, untuned = answers[2 * at : 2 * at + 2]
        difference = max(difference, _largest(tuned - scores.float().log_softmax(0)))
        effect = max(effect, _largest(tuned - untuned))
    return proof.Compared(difference, effect)


def _places(reference: Reference) -> Iterator[tuple[tuple[int, ...], torch.Tensor, torch.Tensor]]:
    """The tokens before each place, and what the trainer scored highest there."""
    for row in reference.rows:
        num_places = len(row.scores_PK)
        for place in range(num_places):
            prompt = row.token_ids[: len(row.token_ids) - num_places + place + 1]
            yield prompt, row.score_ids_PK[place, :MAX_SCORED], row.scores_PK[place, :MAX_SCORED]


def _largest(differences: torch.Tensor) -> float:
    found = float(differences.abs().max())
    return found if math.isfinite(found) else math.inf
