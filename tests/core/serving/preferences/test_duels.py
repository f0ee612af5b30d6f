"""Who won how often, and how sure that is."""

import pytest

from core.serving.preferences.duels import duels, wilson
from core.serving.preferences.types import Lead, Voice, VoteVerdict

A, B, C = Voice(model="a"), Voice(model="b"), Voice(model="c")
BEST = VoteVerdict.BEST


@pytest.mark.parametrize(
    ("num_won", "num", "low", "high"),
    # by statsmodels' proportion_confint(method="wilson")
    [(8, 10, 0.49016247, 0.94331781), (0, 5, 0.0, 0.43448246), (50, 100, 0.40383153, 0.59616847)],
)
def test_the_interval_is_wilsons(num_won: int, num: int, low: float, high: float) -> None:
    assert wilson(num_won, num) == pytest.approx((low, high), abs=1e-6)


def test_a_vote_counts_for_the_model_wherever_it_was_shown() -> None:
    [duel] = duels([(BEST, 0, [A, B]), (BEST, 1, [B, A]), (BEST, 0, [B, A])])
    assert (duel.first, duel.second, duel.num_first, duel.num_second) == (A, B, 2, 1)
    assert duel.share == pytest.approx(2 / 3)


def test_the_best_of_three_beats_the_others_and_says_nothing_of_them() -> None:
    found = duels([(BEST, 1, [A, B, C])])
    assert {(duel.first.model, duel.second.model, duel.num_first, duel.num_second) for duel in found} == {
        ("a", "b", 0, 1),
        ("b", "c", 1, 0),
    }


def test_equal_and_bad_ones_are_told_and_choose_nobody() -> None:
    [duel] = duels([(VoteVerdict.ALL_EQUAL, None, [A, B]), (VoteVerdict.ALL_BAD, None, [B, A])])
    assert (duel.num_equal, duel.num_bad, duel.share, duel.low, duel.lead) == (1, 1, None, None, Lead.TOO_FEW)


def test_a_prompt_makes_another_of_the_same_model_and_nobody_duels_with_themselves() -> None:
    prompted = Voice(model="a", alias="bot", profile=2)
    assert [(duel.first, duel.second) for duel in duels([(BEST, 0, [prompted, A])])] == [(A, prompted)]
    assert duels([(BEST, 0, [A, A])]) == []


@pytest.mark.parametrize(
    ("wins", "losses", "lead"),
    [
        (9, 0, Lead.TOO_FEW),
        (10, 0, Lead.FIRST),
        (0, 10, Lead.SECOND),
        (8, 2, Lead.UNDECIDED),
        (59, 41, Lead.UNDECIDED),
        (60, 40, Lead.FIRST),
    ],
)
def test_a_lead_is_told_only_where_the_interval_allows_it(wins: int, losses: int, lead: Lead) -> None:
    [duel] = duels([(BEST, 0, [A, B])] * wins + [(BEST, 1, [A, B])] * losses)
    assert duel.lead is lead
