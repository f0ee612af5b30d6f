from typing import Any

import pytest

from core.errors import Invalid
from core.training.recipes import (
    BaseModelInfo,
    DatasetStats,
    Recipe,
    default_throughput,
    estimate,
    resolve,
)

SMALL = BaseModelInfo(
    id="smollm2-135m-instruct", num_parameters=134_515_008, context_tokens=8192, num_layers=30, hidden_size=576
)
LARGE = BaseModelInfo(id="eight", num_parameters=8_030_000_000, context_tokens=8192, num_layers=32, hidden_size=4096)


def stats(num_train: int = 1500, mean: int = 66, p99: int = 110) -> DatasetStats:
    rows = num_train + num_train // 9
    return DatasetStats(
        num_train=num_train,
        num_heldout=rows - num_train,
        num_tokens=rows * mean,
        max_row_tokens=p99 + 40,
        p99_row_tokens=p99,
    )


def test_fast_on_a_processor_is_a_matter_of_minutes() -> None:
    spec = resolve(Recipe.FAST, stats(), SMALL, "cpu")
    plan = estimate(spec, stats(), SMALL, default_throughput(SMALL, hardware="cpu"))
    assert plan.seconds <= 300
    assert 40 <= plan.num_steps <= 70
    assert plan.seconds_low < plan.seconds < plan.seconds_high


def test_fast_on_a_card_sees_every_row() -> None:
    assert resolve(Recipe.FAST, stats(), SMALL, "gpu:h100").max_seen_tokens is None


@pytest.mark.parametrize(("num_train", "epochs"), [(10, 10), (20, 5), (500, 3), (20_000, 1)])
def test_few_rows_are_seen_more_often_and_many_less(num_train: int, epochs: int) -> None:
    assert resolve(Recipe.BALANCED, stats(num_train), SMALL, "cpu").num_epochs == epochs


def test_best_learns_longer_and_wider_than_balanced() -> None:
    balanced, best = (resolve(recipe, stats(), SMALL, "cpu") for recipe in (Recipe.BALANCED, Recipe.BEST))
    assert best.num_epochs > balanced.num_epochs
    assert best.method.rank > balanced.method.rank
    assert best.method.alpha == 2 * best.method.rank


@pytest.mark.parametrize(("num_train", "batch"), [(10, 4), (500, 10), (100_000, 32)])
def test_the_batch_is_a_fiftieth_of_the_rows_within_bounds(num_train: int, batch: int) -> None:
    assert resolve(Recipe.BALANCED, stats(num_train), SMALL, "cpu").batch_size == batch


def test_the_length_holds_ninety_nine_rows_of_a_hundred_and_no_more_than_the_context() -> None:
    assert resolve(Recipe.FAST, stats(p99=130), SMALL, "cpu").max_length_tokens == 192
    assert resolve(Recipe.FAST, stats(p99=100_000), SMALL, "cpu").max_length_tokens == 8192


def test_a_large_model_gets_the_gentler_rate() -> None:
    assert resolve(Recipe.FAST, stats(), LARGE, "gpu:h100").learning_rate == 2e-4
    assert resolve(Recipe.FAST, stats(), SMALL, "cpu").learning_rate == 1e-3


def test_openai_words_are_applied_and_auto_means_the_rule() -> None:
    words: dict[str, Any] = {"n_epochs": 2, "batch_size": "auto", "learning_rate_multiplier": 0.5}
    spec = resolve(Recipe.FAST, stats(), SMALL, "cpu", words)
    rule = resolve(Recipe.FAST, stats(), SMALL, "cpu")
    assert (spec.num_epochs, spec.max_seen_tokens) == (2, None)
    assert spec.batch_size == rule.batch_size
    assert spec.learning_rate == pytest.approx(rule.learning_rate / 2)


def test_an_unknown_word_is_refused_by_name() -> None:
    with pytest.raises(Invalid) as refused:
        resolve(Recipe.FAST, stats(), SMALL, "cpu", {"epochs": 3})
    assert refused.value.param == "epochs"


def test_more_of_anything_costs_more_time_and_memory() -> None:
    speed = default_throughput(SMALL, hardware="cpu")
    plans = [
        estimate(resolve(recipe, stats(), SMALL, "cpu"), stats(), SMALL, speed)
        for recipe in (Recipe.FAST, Recipe.BALANCED, Recipe.BEST)
    ]
    assert plans[0].seconds < plans[1].seconds < plans[2].seconds
    assert plans[1].total_tokens == 3 * 1500 * 66
    assert plans[0].peak_memory_bytes <= plans[2].peak_memory_bytes


@pytest.mark.parametrize(("recipe", "at_least"), [(Recipe.FAST, 1), (Recipe.BALANCED, 6), (Recipe.BEST, 6)])
def test_the_held_out_loss_is_measured_along_the_way(recipe: Recipe, at_least: int) -> None:
    spec = resolve(recipe, stats(), SMALL, "cpu")
    num_steps = estimate(spec, stats(), SMALL, default_throughput(SMALL, hardware="cpu")).num_steps
    assert spec.eval_every_steps is not None
    assert at_least <= (num_steps - 1) // spec.eval_every_steps <= 7
