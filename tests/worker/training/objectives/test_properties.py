"""What holds of every objective: true gradients, and sums that neither packing nor splitting can change."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from core.training.objectives import ContinuedPretrainingObjective, DpoObjective, OrpoObjective, SftObjective
from core.training.objectives import Objective as Spec
from tests.worker.training.objectives.bigram import Bigram, batch_of
from worker.training.batches import MicroBatch
from worker.training.objectives import registry
from worker.training.objectives.objective import MicroLoss, Totals
from worker.training.objectives.orpo import Orpo, log1mexp
from worker.training.objectives.target_scores import sum_by_sequence

SPECS: list[Spec] = [
    SftObjective(),
    ContinuedPretrainingObjective(),
    DpoObjective(beta=0.3),
    DpoObjective(beta=0.3, label_smoothing=0.2),
    OrpoObjective(beta=0.4),
]
NAMES = ["sft", "continued_pretraining", "dpo", "smoothed_dpo", "orpo"]
V = 6

Example = list[tuple[list[int], list[float]]]


def examples(spec: Spec, num: int = 4) -> list[Example]:
    """Of random tokens and weights, some of them zero; two sequences each where pairs are compared."""
    generator = torch.Generator().manual_seed(2)
    num_sequences = 2 if isinstance(spec, DpoObjective | OrpoObjective) else 1

    def sequence() -> tuple[list[int], list[float]]:
        length = int(torch.randint(3, 9, (), generator=generator))
        ids = torch.randint(0, V, (length,), generator=generator).tolist()
        weights = (torch.randint(0, 3, (length,), generator=generator) / 2).tolist()
        return ids, [0.0, 1.0, *weights[2:]]

    return [[sequence() for _ in range(num_sequences)] for _ in range(num)]


def together(some: Sequence[Example]) -> MicroBatch:
    return batch_of([one for example in some for one in example])


def totals_of(some: Sequence[Example]) -> Totals:
    weights = [[value for _, weights in example for value in weights[1:]] for example in some]
    return Totals(
        weight=sum(map(sum, weights)),
        preferred_weight=sum(sum(example[0][1][1:]) for example in some),
        num_targets=sum(value > 0 for values in weights for value in values),
        num_examples=len(some),
    )


def tables() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits, reference = (torch.randn(V, V, generator=generator, dtype=torch.float64) for _ in range(2))
    return logits, reference


def micro_loss(spec: Spec, some: Sequence[Example], totals: Totals, logits: Tensor | None = None) -> MicroLoss:
    untouched, reference = tables()
    model = Bigram(untouched if logits is None else logits, reference)
    return registry.build(spec).micro_loss(model, together(some), totals)


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_the_gradient_is_that_of_the_loss(spec: Spec) -> None:
    some = examples(spec)
    totals = totals_of(some)

    def loss(logits: Tensor) -> Tensor:
        return micro_loss(spec, some, totals, logits).loss

    assert torch.autograd.gradcheck(loss, tables()[0].requires_grad_())


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_what_is_shown_carries_no_gradient(spec: Spec) -> None:
    some = examples(spec)
    micro = micro_loss(spec, some, totals_of(some), tables()[0].requires_grad_())
    assert micro.loss.requires_grad
    assert not any(value.requires_grad for value in micro.shares.values())


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_parts_add_up_to_the_whole(spec: Spec) -> None:
    some = examples(spec)
    totals = totals_of(some)
    whole = micro_loss(spec, some, totals)
    for split in ([some[:1], some[1:2], some[2:3], some[3:]], [some[3:], some[:3]], [some[::-1]]):
        parts = [micro_loss(spec, part, totals) for part in split]
        torch.testing.assert_close(torch.stack([part.loss for part in parts]).sum(), whole.loss)
        for name, value in whole.shares.items():
            torch.testing.assert_close(torch.stack([part.shares[name] for part in parts]).sum().to(value.dtype), value)


def test_the_reference_gets_no_gradient() -> None:
    some = examples(SPECS[2])
    logits, reference = (table.requires_grad_() for table in tables())
    registry.build(SPECS[2]).micro_loss(Bigram(logits, reference), together(some), totals_of(some)).loss.backward()
    assert logits.grad is not None
    assert reference.grad is None


def test_a_sequence_has_the_same_sum_to_the_bit_whatever_it_is_packed_with() -> None:
    generator = torch.Generator().manual_seed(5)
    lengths = torch.randint(1, 40, (12,), generator=generator).tolist()
    values = [torch.randn(length, generator=generator) for length in lengths]
    weights = [torch.randint(0, 2, (length,), generator=generator).float() for length in lengths]

    def sums(order: Sequence[int]) -> Tensor:
        batch = batch_of([([1] * (lengths[at] + 1), [0.0, *weights[at].tolist()]) for at in order])
        return sum_by_sequence(torch.cat([values[at][weights[at] > 0] for at in order]), batch)

    alone = torch.cat([sums([at]) for at in range(12)])
    order = torch.randperm(12, generator=generator).tolist()
    assert torch.equal(sums(order), alone[order])
    torch.testing.assert_close(alone, torch.stack([(v * w).sum() for v, w in zip(values, weights, strict=True)]))


def test_log1mexp_keeps_its_digits_near_zero_and_far_from_it() -> None:
    points = [-1e-12, -1e-7, -0.5, -0.69, -0.7, -3.0, -40.0, -800.0]
    found = log1mexp(torch.tensor(points, dtype=torch.float64))
    # by the series of log(1 - e^x) where its double is not enough
    exact = [math.log(-math.expm1(x)) if x > -1 else math.log1p(-math.exp(x)) for x in points]
    assert found.tolist() == pytest.approx(exact, rel=1e-14, abs=0)


@pytest.mark.parametrize("certain", [0, 1, 2], ids=["the_preferred", "the_other", "both"])
def test_an_answer_beyond_doubt_has_a_finite_loss_and_gradient(certain: int) -> None:
    sure = [200.0, 0.0, 0.0]
    rows = [sure if certain in {0, 2} else [0.0] * 3, sure if certain in {1, 2} else [0.0] * 3, [0.0] * 3]
    logits = torch.tensor(rows, dtype=torch.float64).requires_grad_()
    pair = [[([0, 0, 0], [0, 1, 1]), ([1, 0], [0, 1])]]
    micro = Orpo(beta=0.5).micro_loss(Bigram(logits), together(pair), totals_of(pair))
    micro.loss.backward()
    assert math.isfinite(micro.shares["loss"])
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
