import pytest
import torch

from core.inference.types import Sampling
from worker.inference.sampling import Sampler

SCORES = torch.tensor([2.0, 1.0, 0.5, -1.0, -8.0])


def draw(count: int, **sampling: float) -> list[int]:
    sampler = Sampler(Sampling.model_validate(sampling))
    return [sampler.choose(SCORES) for _ in range(count)]


def test_temperature_zero_takes_the_best() -> None:
    assert set(draw(20, temperature=0)) == {0}


def test_the_same_seed_gives_the_same_tokens() -> None:
    assert draw(50, temperature=1, seed=11) == draw(50, temperature=1, seed=11)
    assert draw(50, temperature=1, seed=11) != draw(50, temperature=1, seed=12)


def test_a_negative_seed_is_a_seed() -> None:
    assert draw(10, temperature=1, seed=-5) == draw(10, temperature=1, seed=-5)


def test_without_a_seed_answers_differ() -> None:
    assert draw(60, temperature=2) != draw(60, temperature=2)


@pytest.mark.parametrize(("top_p", "kept"), [(0.01, {0}), (0.6, {0}), (0.8, {0, 1}), (0.9, {0, 1, 2})])
def test_top_p_keeps_the_smallest_set_that_reaches_it(top_p: float, kept: set[int]) -> None:
    # chances: 0.61, 0.22, 0.14, 0.03, 0.00003
    assert set(draw(300, temperature=1, top_p=top_p, seed=1)) == kept


def test_chances_follow_the_temperature() -> None:
    share = draw(2000, temperature=1, seed=3).count(0) / 2000
    assert share == pytest.approx(float(torch.softmax(SCORES, 0)[0]), abs=0.04)
    cold = draw(2000, temperature=0.3, seed=3).count(0) / 2000
    assert cold > share + 0.2
