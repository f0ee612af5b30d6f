from collections import Counter

import pytest
from pydantic import ValidationError

from core.serving.aliases.types import Arm, Plan


def plan(*percents: int) -> Plan:
    return Plan(arms=tuple(Arm(model=f"m{at}", percent=percent) for at, percent in enumerate(percents)))


def test_shares_are_what_they_say_over_many_keys() -> None:
    split = plan(10, 25, 65)
    counts = Counter(split.arm_of("als_1", f"user:{number}").model for number in range(20_000))
    assert counts["m0"] / 20_000 == pytest.approx(0.10, abs=0.01)
    assert counts["m1"] / 20_000 == pytest.approx(0.25, abs=0.015)


def test_who_is_in_a_share_stays_in_it_while_it_grows() -> None:
    small, large = plan(10, 90), plan(20, 80)
    keys = [f"user:{number}" for number in range(500)]
    before = {key for key in keys if small.arm_of("als_1", key).model == "m0"}
    assert before <= {key for key in keys if large.arm_of("als_1", key).model == "m0"}
    # and another alias draws other people
    assert before != {key for key in keys if small.arm_of("als_2", key).model == "m0"}


def test_shares_that_are_no_whole_are_no_plan() -> None:
    with pytest.raises(ValidationError, match="100 percent"):
        plan(50, 40)
