"""What trainings on growing parts of the rows say about more rows.

Each part was trained as long as the others and measured with the same held-out rows, so for part k and row i

    L_k = sum over i of  w_i * l_ki  /  sum over i of  w_i        w_i: what row i weighs in the loss, l_ki: its own loss

    power law           L(n) = a * n^-c, by least squares of log L on log n (Hestness et al. 2017)
    gain of m rows      g = 1 - L(n + m) / L(n) = 1 - ((n + m) / n)^-c
    uncertainty         the held-out rows are drawn anew with replacement, the same draw for every part (a paired
                        bootstrap, Efron 1979); the middle 95 of 100 of what comes out

Shapes: k parts, r held-out rows, d the rows as they are and then the draws.

A floor under the loss cannot be told from three points, and a law without one promises rather too much. So where the
curve is surely flatter in its last part than before, only that part is used. What another seed or another choice of
rows would have given is not in the interval: each part is trained once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

NUM_DRAWS: Final = 2000
MIN_PARTS: Final = 3
# a fall of the loss that people notice in the answers; less is worth nobody's afternoon of writing examples
WORTH_HAVING: Final = 0.02
_MIDDLE: Final = (0.025, 0.975)
# of a model that knows every held-out answer by heart; log 0 is none
_LEAST_LOSS: Final = 1e-9
# two slopes that are the same but for the last digits
_ROUNDING: Final = 1e-9
# the same losses are judged alike whenever they are looked at
_SEED: Final = 0


class Verdict(StrEnum):
    ENOUGH = "enough"
    MORE_WOULD_HELP = "more_would_help"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class Interval:
    """The value of the rows as they are, and the middle 95 of 100 values of other draws of them."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Part:
    """A training on so many rows: the loss of each held-out row, in the order of the weights."""

    num_rows: int
    losses: Sequence[float]


@dataclass(frozen=True, slots=True)
class Judgement:
    losses: tuple[Interval, ...]
    """Of each part."""
    exponent: Interval
    """c of the power law."""
    scale: float
    """a of the power law that goes through the last part's loss where `flattens`, else of the least squares."""
    flattens: bool
    """The last part of the curve is surely flatter than the one before; the law is that of the last part alone."""
    num_more: int
    gain: Interval
    """Share of the loss that so many rows more would take away; below 0 it would rise."""
    loss_with_more: Interval
    verdict: Verdict


def judge(parts: Sequence[Part], weights: Sequence[float], *, num_more: int) -> Judgement:
    """Raises ValueError for fewer than three parts, parts that do not grow, or losses that do not fit the weights."""
    _check(parts, weights, num_more)
    sizes_k = np.array([part.num_rows for part in parts], dtype=np.float64)
    losses_dk = _losses(parts, weights, seed=_SEED)
    flattens = bool(_interval(_bend(sizes_k, losses_dk)).high < -_ROUNDING)
    first = -2 if flattens else 0
    scale_d, exponent_d = _power_law(sizes_k[first:], losses_dk[:, first:])
    now, then = sizes_k[-1], sizes_k[-1] + num_more
    gain = _interval(1 - (then / now) ** -exponent_d)
    return Judgement(
        losses=tuple(_interval(losses_d) for losses_d in losses_dk.T),
        exponent=_interval(exponent_d),
        scale=float(scale_d[0]),
        flattens=flattens,
        num_more=num_more,
        gain=gain,
        loss_with_more=_interval(scale_d * then**-exponent_d),
        verdict=verdict_of(gain),
    )


def interval_of(losses: Sequence[float], weights: Sequence[float]) -> Interval:
    """The loss over all held-out rows, of one training."""
    return _interval(_losses([Part(1, losses)], weights, seed=_SEED)[:, 0])


def verdict_of(gain: Interval) -> Verdict:
    """Enough where even the best case is little; more helps where even the worst case is a gain; else nobody knows."""
    if gain.high < WORTH_HAVING:
        return Verdict.ENOUGH
    return Verdict.MORE_WOULD_HELP if gain.low > 0 else Verdict.CANNOT_TELL


def _check(parts: Sequence[Part], weights: Sequence[float], num_more: int) -> None:
    sizes = [part.num_rows for part in parts]
    if len(parts) < MIN_PARTS or sizes != sorted(set(sizes)) or sizes[0] < 1 or num_more < 1:
        raise ValueError(f"a curve needs {MIN_PARTS} growing parts and rows to come: {sizes=}, {num_more=}")
    if not weights or any(len(part.losses) != len(weights) for part in parts):
        raise ValueError("every part needs a loss for each held-out row")
    if not all(math.isfinite(value) and value >= 0 for part in parts for value in part.losses):
        raise ValueError("a loss is a finite number that is not negative")
    if not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise ValueError("a weight is a finite positive number")


def _losses(parts: Sequence[Part], weights: Sequence[float], *, seed: int) -> Values:
    """Of each part: first those of the rows as they are, then those of each draw."""
    num_rows = len(weights)
    drawn_dr = np.random.default_rng(seed).multinomial(num_rows, np.full(num_rows, 1 / num_rows), size=NUM_DRAWS)
    times_dr = np.vstack([np.ones(num_rows), drawn_dr]) * np.asarray(weights)
    losses_kr = np.array([part.losses for part in parts], dtype=np.float64)
    return np.asarray(np.maximum(_LEAST_LOSS, times_dr @ losses_kr.T / times_dr.sum(axis=1, keepdims=True)))


def _power_law(sizes_k: Values, losses_dk: Values) -> tuple[Values, Values]:
    """(a, c) of a * n^-c for each draw; through two points exactly."""
    x_k, y_dk = np.log(sizes_k), np.log(losses_dk)
    from_mean_k = x_k - x_k.mean()
    slope_d = (y_dk @ from_mean_k) / (from_mean_k @ from_mean_k)
    return np.exp(y_dk.mean(axis=1) - slope_d * x_k.mean()), -slope_d


def _bend(sizes_k: Values, losses_dk: Values) -> Values:
    """How much steeper the last part of the curve is than the one before; below 0 it is flatter."""
    before_d = _power_law(sizes_k[-3:-1], losses_dk[:, -3:-1])[1]
    return np.asarray(_power_law(sizes_k[-2:], losses_dk[:, -2:])[1] - before_d)


def _interval(values_d: Values) -> Interval:
    low, high = np.quantile(values_d[1:], _MIDDLE, method="nearest")
    return Interval(float(values_d[0]), float(low), float(high))
