import pytest
import torch

from core.inference.types import Sampling
from worker.inference.sampling import Sampler

SCORES = torch.tensor([2.0, 1.0, 0.5, -1.0, -8.0])


def draw(count: int, **sampling: object) -> list[int]:
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


def test_a_token_is_worth_less_each_time_it_was_drawn() -> None:
    # the gap between the first two is 1: after three of the first, and so on
    assert Sampler(Sampling(temperature=0, frequency_penalty=0.4)).choose(SCORES) == 0
    sampler = Sampler(Sampling(temperature=0, frequency_penalty=0.4))
    assert [sampler.choose(SCORES) for _ in range(6)] == [0, 0, 0, 1, 0, 1]


def test_presence_counts_once() -> None:
    sampler = Sampler(Sampling(temperature=0, presence_penalty=1.2))
    # 2.0, 1.0, 0.5 become 0.8, -0.2, -0.7 once each was there
    assert [sampler.choose(SCORES) for _ in range(4)] == [0, 1, 0, 0]


def test_a_negative_penalty_invites_repetition() -> None:
    close = torch.tensor([1.0, 1.1])
    sampler = Sampler(Sampling(temperature=1, seed=2, frequency_penalty=-2))
    drawn = [sampler.choose(close) for _ in range(30)]
    assert len(set(drawn[5:])) == 1


def test_a_bias_bans_and_forces() -> None:
    assert 0 not in draw(50, temperature=1, seed=1, logit_bias={0: -100})
    assert set(draw(50, temperature=1, seed=1, logit_bias={4: 100})) == {4}
    assert set(draw(5, temperature=0, logit_bias={1: 1.5})) == {1}


def test_the_scores_are_left_as_they_are() -> None:
    before = SCORES.clone()
    draw(10, temperature=0, presence_penalty=2, frequency_penalty=2, logit_bias={0: -100})
    assert torch.equal(SCORES, before)
