"""Against values that were computed by hand."""

import math

import pytest

from core.training.scaling.statistics import Interval, Judgement, Part, Verdict, judge, verdict_of
from core.training.scaling.words import limits_of, percent, sentence_of


def curve(*losses: float, num_rows: int = 10, sizes: tuple[int, ...] = (100, 200, 400)) -> list[Part]:
    """Parts in which every held-out row has the same loss."""
    return [Part(size, [loss] * num_rows) for size, loss in zip(sizes, losses, strict=True)]


def uneven(factors: list[float], *losses: float) -> list[Part]:
    """Held-out rows that are hard and easy in every part, as they are."""
    return [
        Part(size, [loss * factor for factor in factors]) for size, loss in zip((100, 200, 400), losses, strict=True)
    ]


def test_a_loss_that_halves_with_each_doubling_follows_n_to_the_minus_one() -> None:
    judged = judge(curve(4.0, 2.0, 1.0), [1.0] * 10, num_more=300)
    # L = 400 / n: at 700 rows 4/7, which is 3/7 less than 1
    assert judged.exponent.value == pytest.approx(1)
    assert judged.scale == pytest.approx(400)
    assert judged.gain == Interval(pytest.approx(3 / 7), pytest.approx(3 / 7), pytest.approx(3 / 7))
    assert judged.loss_with_more.value == pytest.approx(4 / 7)
    assert (judged.flattens, judged.verdict) == (False, Verdict.MORE_WOULD_HELP)


def test_least_squares_goes_between_points_that_lie_on_no_line() -> None:
    # logs to base 2, of n: 0 1 2, of L: 1 1 0; slope (0 - 1) / 2 = -1/2, mean 2/3 at 1: L = 2^(7/6 - x/2)
    judged = judge([Part(1, [2.0]), Part(2, [2.0]), Part(4, [1.0])], [1.0], num_more=4)
    assert judged.exponent.value == pytest.approx(0.5)
    assert judged.scale == pytest.approx(2 ** (7 / 6))
    assert judged.gain.value == pytest.approx(1 - 2**-0.5)
    assert judged.loss_with_more.value == pytest.approx(2 ** (-1 / 3))  # at log 8 = 3


def test_a_loss_is_weighed_by_tokens() -> None:
    judged = judge([Part(size, [1.0, 4.0]) for size in (1, 2, 4)], [3.0, 1.0], num_more=1)
    assert judged.losses[0].value == pytest.approx((3 * 1 + 1 * 4) / 4)


def test_the_interval_of_two_rows_is_between_the_one_and_the_other() -> None:
    # a quarter of all draws has the first row twice, a quarter the second
    judged = judge([Part(size, [1.0, 3.0]) for size in (1, 2, 4)], [1.0, 1.0], num_more=1)
    assert judged.losses[0] == Interval(2.0, 1.0, 3.0)


def test_the_interval_of_many_rows_is_that_of_the_normal_distribution() -> None:
    # 400 rows, half 0.5 and half 1.5: the mean is 1, its standard error 0.5 / 20, 1.96 of them are 0.049
    judged = judge([Part(size, [0.5, 1.5] * 200) for size in (1, 2, 4)], [1.0] * 400, num_more=1)
    assert judged.losses[0].low == pytest.approx(1 - 0.049, abs=0.005)
    assert judged.losses[0].high == pytest.approx(1 + 0.049, abs=0.005)


def test_hard_and_easy_rows_do_not_blur_what_all_of_them_gain() -> None:
    # each row loses a tenth with each doubling, so every draw does: c = log2(1 / 0.9), though the losses are far apart
    judged = judge(uneven([0.1, 1.0, 5.0] * 10, 1.0, 0.9, 0.81), [1.0] * 30, num_more=300)
    assert judged.losses[2].high > 1.2 * judged.losses[2].value
    gain = 1 - (7 / 4) ** -math.log2(1 / 0.9)
    assert judged.gain == Interval(pytest.approx(gain), pytest.approx(gain), pytest.approx(gain))


def test_a_curve_that_flattens_is_continued_from_its_last_part() -> None:
    judged = judge(curve(4.0, 2.0, 1.8), [1.0] * 10, num_more=400)
    assert judged.flattens
    # the last doubling took a tenth, and so will the next
    assert judged.gain.value == pytest.approx(0.1)
    assert "flatter" in limits_of(judged, num_heldout=10, base_loss=9.0)[0]


def test_a_curve_that_gets_steeper_is_not_believed_to_go_on_like_that() -> None:
    judged = judge(curve(2.0, 1.9, 1.0), [1.0] * 10, num_more=400)
    assert not judged.flattens
    assert judged.gain.value == pytest.approx(1 - 2**-0.5)  # two doublings halved it; the last alone would promise 47 %


@pytest.mark.parametrize(
    ("gain", "verdict", "sentence"),
    [
        (Interval(0.06, 0.04, 0.09), Verdict.MORE_WOULD_HELP, "down by 4 to 9 %"),
        (Interval(0.02, 0.004, 0.0349), Verdict.MORE_WOULD_HELP, "down by 0.4 to 3 %"),
        (Interval(0.05, 0.0499, 0.0501), Verdict.MORE_WOULD_HELP, "down by about 5 %"),
        (Interval(0.01, -0.01, 0.019), Verdict.ENOUGH, "less than 2 %"),
        (Interval(-0.01, -0.03, -0.001), Verdict.ENOUGH, "did not go down at all"),
        (Interval(0.03, -0.02, 0.08), Verdict.CANNOT_TELL, "up to 8 %, or not at all"),
        (Interval(0.03, 0.0, 0.08), Verdict.CANNOT_TELL, "within chance"),
    ],
)
def test_the_verdict_is_what_the_whole_interval_says(gain: Interval, verdict: Verdict, sentence: str) -> None:
    assert verdict_of(gain) is verdict
    judged = Judgement(
        losses=(),
        exponent=gain,
        scale=1.0,
        flattens=False,
        num_more=300,
        gain=gain,
        loss_with_more=gain,
        verdict=verdict,
    )
    assert sentence in sentence_of(judged)
    if verdict is not Verdict.ENOUGH or gain.high > 0:
        assert "bout 300 more examples" in sentence_of(judged)


def test_noise_alone_is_no_verdict_for_more() -> None:
    # the parts differ only in which rows they are good at
    rows = [[1.0, 2.0, 3.0, 0.5], [2.0, 3.0, 0.5, 1.0], [3.0, 0.5, 1.0, 2.0]]
    parts = [Part(size, row * 5) for size, row in zip((100, 200, 400), rows, strict=True)]
    assert judge(parts, [1.0] * 20, num_more=300).verdict is Verdict.CANNOT_TELL


def test_a_model_no_better_than_the_untouched_one_is_told_first() -> None:
    judged = judge(curve(4.0, 2.0, 1.0), [1.0] * 10, num_more=300)
    assert limits_of(judged, num_heldout=10, base_loss=1.0)[0].startswith("Even with all examples")
    assert len(limits_of(judged, num_heldout=10, base_loss=1.1)) == 2


def test_the_same_losses_give_the_same_judgement() -> None:
    parts = [Part(size, [0.3 * row + 1 / size for row in range(20)]) for size in (10, 20, 40)]
    assert judge(parts, [1.0] * 20, num_more=40) == judge(parts, [1.0] * 20, num_more=40)


def test_a_loss_of_nothing_can_be_judged() -> None:
    judged = judge(curve(1.0, 0.0, 0.0), [1.0] * 10, num_more=100)
    assert judged.losses[2].value > 0
    assert judged.verdict is Verdict.ENOUGH  # nothing is left to take away


@pytest.mark.parametrize(
    ("parts", "weights"),
    [
        (curve(4.0, 2.0, sizes=(100, 200)), [1.0] * 10),
        (curve(4.0, 2.0, 1.0, sizes=(100, 100, 400)), [1.0] * 10),
        (curve(4.0, 2.0, math.nan), [1.0] * 10),
        (curve(4.0, 2.0, 1.0), [1.0] * 9),
        (curve(4.0, 2.0, 1.0), [1.0] * 9 + [0.0]),
        (curve(4.0, 2.0, 1.0, num_rows=0), []),
    ],
)
def test_what_is_no_curve_is_refused(parts: list[Part], weights: list[float]) -> None:
    with pytest.raises(ValueError):
        judge(parts, weights, num_more=10)


def test_percentages_are_as_long_as_they_need_to_be() -> None:
    assert [percent(share) for share in (0.07, 0.008, 0.123, 0.0, 0.0996)] == ["7 %", "0.8 %", "12 %", "0 %", "10 %"]
