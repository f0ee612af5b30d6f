"""The judgement in plain words, with what it does not know."""

from core.training.scaling.statistics import WORTH_HAVING, Interval, Judgement, Verdict

_SMALL_PERCENT = 3
_THREE_POINTS = (
    "Three trainings are three points. A line through them is an estimate for examples of the same kind, up to twice "
    "as many as now, and it rather promises too much than too little."
)
_RANGES = (
    "The ranges say what other examples than the {num_heldout} that were kept back might have shown, in 95 of 100 "
    "cases. Each part was trained once; other examples in a part would move the points, too, and that is not in them."
)


def sentence_of(judgement: Judgement) -> str:
    more, gain = _examples(judgement.num_more), judgement.gain
    match judgement.verdict:
        case Verdict.ENOUGH if gain.high <= 0:
            return (
                "Enough: more of the same would change little. With more of these the error did not go down at "
                "all, so look at what they say before you add to them."
            )
        case Verdict.ENOUGH:
            return (
                f"Enough: more of the same would change little. {more} should bring the error down by less than "
                f"{percent(WORTH_HAVING)}."
            )
        case Verdict.MORE_WOULD_HELP:
            return f"More would help: {more[0].lower()}{more[1:]} should bring the error down by {_range(gain)}."
        case Verdict.CANNOT_TELL:
            return (
                f"Cannot tell: the differences are within chance. {more} may bring the error down by up to "
                f"{percent(gain.high)}, or not at all."
            )


def limits_of(judgement: Judgement, *, num_heldout: int, base_loss: float | None) -> list[str]:
    """What whoever decides by it should know, the most important first."""
    limits = [_THREE_POINTS, _RANGES.format(num_heldout=num_heldout)]
    if judgement.flattens:
        limits.insert(0, "The curve is getting flatter, so only its last part, from half to all, was continued.")
    if base_loss is not None and judgement.losses[-1].value >= base_loss:
        limits.insert(
            0,
            "Even with all examples the model answers no better than the untouched one. Look at them, or train longer, "
            "before you add more.",
        )
    return limits


def percent(share: float) -> str:
    """`7 %`, and `0.8 %` where a whole number would say too little."""
    value = 100 * share
    if abs(value) < _SMALL_PERCENT and abs(value - round(value)) >= 0.05:  # noqa: PLR2004 - what one digit shows
        return f"{value:.1f} %"
    return f"{value:.0f} %"


def _range(gain: Interval) -> str:
    low, high = percent(gain.low), percent(gain.high)
    return f"about {high}" if low == high else f"{low.removesuffix(' %')} to {high}"


def _examples(count: int) -> str:
    return f"About {count} more examples"
