"""Each loss at numbers that can be worked out on paper."""

from math import log, sqrt

import pytest

from tests.worker.training.objectives.bigram import Bigram, batch_of
from worker.training.objectives.continued_pretraining import ContinuedPretraining
from worker.training.objectives.dpo import Dpo
from worker.training.objectives.objective import MicroLoss, Totals
from worker.training.objectives.orpo import Orpo
from worker.training.objectives.sft import Sft

# row a: what follows token a
PROBS = [[1 / 4, 1 / 2, 1 / 4], [1 / 8, 3 / 4, 1 / 8], [1 / 2, 2 / 5, 1 / 10]]
REFERENCE = [[1 / 4, 1 / 4, 1 / 2], [1 / 2, 1 / 4, 1 / 4], [1 / 3, 1 / 3, 1 / 3]]


def shares_of(micro: MicroLoss) -> dict[str, float]:
    assert micro.shares["loss"] == micro.loss
    return {name: float(value) for name, value in micro.shares.items()}


class TestSupervised:
    def test_a_token_weighs_what_its_message_weighs(self) -> None:
        # 1 after 0: p 1/2, weight 1. 2 after 1: p 1/8, weight 0.25. 1 after 1: p 3/4, weight 0.5. 0 after 1: none.
        batch = batch_of([([0, 1, 2], [0, 1, 0.25]), ([1, 1, 0], [0, 0.5, 0])])
        totals = Totals(weight=1.75, preferred_weight=1.75, num_targets=3, num_examples=2)
        micro = Sft().micro_loss(Bigram.of_probs(PROBS), batch, totals)
        expected = (1 * log(2) + 0.25 * log(8) + 0.5 * log(4 / 3)) / 1.75
        # the likeliest after 0 and after 1 is 1: two of three are right, whatever they weigh
        assert shares_of(micro) == pytest.approx({"loss": expected, "accuracy": 2 / 3})

    def test_a_micro_batch_is_divided_by_the_totals_of_the_step(self) -> None:
        totals = Totals(weight=10, preferred_weight=10, num_targets=20, num_examples=4)
        micro = Sft().micro_loss(Bigram.of_probs(PROBS), batch_of([([0, 1], [0, 1])]), totals)
        assert shares_of(micro) == pytest.approx({"loss": log(2) / 10, "accuracy": 1 / 20})

    def test_continued_pretraining_is_the_cross_entropy_of_every_token(self) -> None:
        # 1 after 0: 1/2. 2 after 1: 1/8. 0 after 2: 1/2
        batch = batch_of([([0, 1, 2, 0], [0, 1, 1, 1])])
        totals = Totals(weight=3, preferred_weight=3, num_targets=3, num_examples=1)
        micro = ContinuedPretraining().micro_loss(Bigram.of_probs(PROBS), batch, totals)
        assert shares_of(micro) == pytest.approx({"loss": log(2 * 8 * 2) / 3, "accuracy": 2 / 3})


# Prompt 0. First pair: the answer 1 1, of p 1/2 * 3/4 and reference 1/4 * 1/4, before the answer 2, of 1/4 and 1/2.
# Second pair: the answer 2 before the answer 1, of 1/2 and 1/4.
PAIRS = [([0, 1, 1], [0, 1, 1]), ([0, 2], [0, 1]), ([0, 2], [0, 1]), ([0, 1], [0, 1])]
PAIR_TOTALS = Totals(weight=5, preferred_weight=3, num_targets=5, num_examples=2)


def dpo(beta: float, label_smoothing: float = 0.0, *, reference: list[list[float]] = REFERENCE) -> dict[str, float]:
    objective = Dpo(beta=beta, label_smoothing=label_smoothing)
    batch = batch_of(PAIRS)
    return shares_of(objective.micro_loss(Bigram.of_probs(PROBS, reference), batch, PAIR_TOTALS))


class TestDpo:
    """The ratios to the reference are 6 and 1/2, then 1/2 and 2: so exp(h) is 12 and 1/4 where beta is 1."""

    def test_the_loss_is_minus_log_sigmoid_of_the_margin(self) -> None:
        expected = {
            "loss": (log(13 / 12) + log(5)) / 2,
            "accuracy": 1 / 2,
            "reward_margin": (log(12) - log(4)) / 2,
            "chosen_reward": (log(6) - log(2)) / 2,
            "rejected_reward": (-log(2) + log(2)) / 2,
        }
        assert dpo(1) == pytest.approx(expected)

    def test_beta_scales_the_margin(self) -> None:
        found = dpo(0.5)
        assert found["loss"] == pytest.approx((log(1 + 1 / sqrt(12)) + log(1 + 2)) / 2)
        assert found["reward_margin"] == pytest.approx((log(12) - log(4)) / 4)

    def test_smoothing_believes_a_share_of_the_pairs_to_be_the_wrong_way_round(self) -> None:
        right, wrong = (log(13 / 12) + log(5)) / 2, (log(13) + log(5 / 4)) / 2
        assert dpo(1, 0.1)["loss"] == pytest.approx(0.9 * right + 0.1 * wrong)

    @pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
    def test_the_base_itself_has_a_loss_of_log_2_and_guesses(self, label_smoothing: float) -> None:
        found = dpo(0.1, label_smoothing, reference=PROBS)
        assert found.pop("loss") == pytest.approx(log(2))
        assert found == {"accuracy": 0.5, "reward_margin": 0.0, "chosen_reward": 0.0, "rejected_reward": 0.0}

    def test_a_tiny_margin_under_huge_sums_is_not_lost(self) -> None:
        # 4,000 tokens of log p around -7, and a chosen answer that gained 1e-5 on the reference at one of them only
        probs = [[0.5, 0.001, 0.499], [0.5, 0.001, 0.499], [0.499, 0.001, 0.5]]
        reference = [row[:] for row in probs]
        reference[2] = [0.499 + 1e-8, 0.001 - 1e-8, 0.5]
        model = Bigram.of_probs(probs, reference)
        model.logits, model.reference_logits = model.logits.float(), model.reference_logits.float()
        model.head.weight = model.head.weight.float()
        long = [1] * 4000
        pair = [([2, *long], [0, *([1] * 4000)]), ([0, *long], [0, *([1] * 4000)])]
        totals = Totals(weight=8000, preferred_weight=4000, num_targets=8000, num_examples=1)
        micro = Dpo(beta=1, label_smoothing=0).micro_loss(model, batch_of(pair), totals)
        assert float(micro.shares["reward_margin"]) == pytest.approx(1e-5, rel=0.05)
        assert float(micro.shares["accuracy"]) == 1


class TestOrpo:
    """Prompt 0 or 2; means of log p over each answer's tokens."""

    def found(self, beta: float, *answers: tuple[list[int], list[float]], totals: Totals) -> dict[str, float]:
        batch = batch_of(answers)
        return shares_of(Orpo(beta=beta).micro_loss(Bigram.of_probs(PROBS), batch, totals))

    def test_the_odds_ratio_is_added_to_the_loss_of_the_preferred_answers(self) -> None:
        # the answer 1 0 2 has p 1/2 * 1/8 * 1/4, in the mean 1/4: odds 1/3. 2 after 2 has p 1/10: odds 1/9
        first = ([0, 1, 0, 2], [0, 1, 1, 1]), ([2, 2], [0, 1])
        # the answer 2 has p 1/4, odds 1/3; the answer 1 has p 1/2, odds 1
        second = ([0, 2], [0, 1]), ([0, 1], [0, 1])
        totals = Totals(weight=6, preferred_weight=4, num_targets=6, num_examples=2)
        expected = {
            "nll": (log(2 * 8 * 4) + log(4)) / 4,  # of four tokens; the two answers do not weigh the same
            "accuracy": 1 / 2,
            "chosen_reward": 0.2 * (-log(4) - log(4)) / 2,
            "rejected_reward": 0.2 * (-log(10) - log(2)) / 2,
            "reward_margin": 0.2 * (-2 * log(4) + log(20)) / 2,
        }
        # the odds are 3 and 1/3 to one: sigmoids of 3/4 and 1/4
        expected["loss"] = expected["nll"] + 0.2 * (log(4 / 3) + log(4)) / 2
        assert self.found(0.2, *first, *second, totals=totals) == pytest.approx(expected)

    def test_weights_count_in_both_means(self) -> None:
        # 1 after 0 at weight 1, 2 after 1 at weight 0.5: the mean of log p is -(log 2 + 0.5 log 8) / 1.5
        pair = ([0, 1, 2], [0, 1, 0.5]), ([0, 2], [0, 1])
        totals = Totals(weight=2.5, preferred_weight=1.5, num_targets=3, num_examples=1)
        mean = -(log(2) + 0.5 * log(8)) / 1.5
        found = self.found(1, *pair, totals=totals)
        assert found["nll"] == pytest.approx(-mean)
        assert found["chosen_reward"] == pytest.approx(mean)

    def test_equal_answers_are_a_guess(self) -> None:
        pair = ([0, 1, 1], [0, 1, 1]), ([0, 1, 1], [0, 1, 1])
        totals = Totals(weight=4, preferred_weight=2, num_targets=4, num_examples=1)
        found = self.found(1, *pair, totals=totals)
        assert found["accuracy"] == 0.5
        assert found["loss"] - found["nll"] == pytest.approx(log(2))
