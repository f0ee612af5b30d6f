from typing import Any

import pytest

from core.base_models import service as base_models
from core.errors import Invalid
from core.training.methods import LoraMethod, Method, RsloraMethod
from core.training.objectives import (
    ContinuedPretrainingObjective,
    DpoObjective,
    Objective,
    OrpoObjective,
    SftObjective,
)
from core.training.recipes import DatasetStats, Recipe, plan_steps, resolve, shape_of
from core.training.spec import TrainingSpec

SMALL = base_models.default_base_model()
LARGE = base_models.get("llama-3.1-8b-instruct")
OBJECTIVES = [SftObjective(), DpoObjective(), OrpoObjective(), ContinuedPretrainingObjective()]
METHODS = ["lora", "qlora", "rslora", "dora", "lora_plus", "pissa", "prompt_tuning", "full"]

# dpo compares with the untouched base, which two methods do not keep
COMBINATIONS = [
    (method, objective)
    for method in METHODS
    for objective in OBJECTIVES
    if objective.type != "dpo" or method not in {"full", "pissa"}
]


def stats(num_train: int = 1500, mean: int = 66, p99: int = 110) -> DatasetStats:
    rows = num_train + num_train // 9
    return DatasetStats(
        num_train=num_train,
        num_heldout=rows - num_train,
        num_tokens=rows * mean,
        max_row_tokens=p99 + 40,
        p99_row_tokens=p99,
    )


def rank_of(spec: TrainingSpec) -> int:
    assert isinstance(spec.method, LoraMethod)
    return spec.method.rank


def num_steps(spec: TrainingSpec, found: DatasetStats) -> int:
    return plan_steps(spec, shape_of(spec, found))[0]


class TestData:
    def test_fast_on_a_processor_is_a_matter_of_minutes(self) -> None:
        spec = resolve(Recipe.FAST, stats(), SMALL, "cpu")
        steps, tokens = plan_steps(spec, shape_of(spec, stats()))
        assert 40 <= steps <= 70
        assert tokens <= 51_000

    def test_fast_on_a_card_sees_every_row(self) -> None:
        assert resolve(Recipe.FAST, stats(), SMALL, "gpu:h100").max_seen_tokens is None

    @pytest.mark.parametrize(("num_train", "epochs"), [(10, 10), (20, 5), (500, 3), (20_000, 1)])
    def test_few_rows_are_seen_more_often_and_many_less(self, num_train: int, epochs: int) -> None:
        assert resolve(Recipe.BALANCED, stats(num_train), SMALL, "cpu").num_epochs == epochs

    @pytest.mark.parametrize(("num_train", "epochs"), [(10, 4), (20, 2), (33, 1), (500, 1), (20_000, 1)])
    def test_fast_sees_less_of_few_rows_too(self, num_train: int, epochs: int) -> None:
        assert resolve(Recipe.FAST, stats(num_train), SMALL, "cpu").num_epochs == epochs

    def test_fast_on_a_card_does_not_see_all_of_very_many_rows(self) -> None:
        spec = resolve(Recipe.FAST, stats(100_000), SMALL, "gpu:h100")
        _, tokens = plan_steps(spec, shape_of(spec, stats(100_000)))
        assert tokens == pytest.approx(6_250 * 66, rel=0.01)
        asked = resolve(Recipe.FAST, stats(100_000), SMALL, "gpu:h100", {"n_epochs": 1})
        assert asked.max_seen_tokens is None, "epochs that are asked for are done in full"

    @pytest.mark.parametrize(("num_train", "batch"), [(10, 4), (500, 10), (100_000, 32)])
    def test_the_batch_is_a_fiftieth_of_the_rows_within_bounds(self, num_train: int, batch: int) -> None:
        assert resolve(Recipe.BALANCED, stats(num_train), SMALL, "cpu").batch_size == batch

    def test_the_length_holds_ninety_nine_rows_of_a_hundred_and_no_more_than_the_context(self) -> None:
        assert resolve(Recipe.FAST, stats(p99=130), SMALL, "cpu").max_length_tokens == 192
        assert resolve(Recipe.FAST, stats(p99=100_000), SMALL, "cpu").max_length_tokens == 8192

    @pytest.mark.parametrize(("recipe", "at_least"), [(Recipe.FAST, 1), (Recipe.BALANCED, 6), (Recipe.BEST, 6)])
    def test_the_held_out_loss_is_measured_along_the_way(self, recipe: Recipe, at_least: int) -> None:
        spec = resolve(recipe, stats(), SMALL, "cpu")
        assert spec.eval_every_steps is not None
        assert at_least <= (num_steps(spec, stats()) - 1) // spec.eval_every_steps <= 7

    def test_a_pair_is_two_sequences_that_are_cut_one_by_one(self) -> None:
        found = stats(mean=300, p99=200)
        shape = shape_of(resolve(Recipe.BALANCED, found, SMALL, "cpu", objective=DpoObjective()), found)
        assert (shape.sequence_tokens, shape.example_tokens) == (150, 300)
        assert shape.longest_example_tokens == 2 * 240

    def test_a_long_text_becomes_several_examples_and_loses_nothing(self) -> None:
        found = stats(num_train=10, mean=5000, p99=9000)
        spec = resolve(Recipe.BALANCED, found, SMALL, "cpu", objective=ContinuedPretrainingObjective())
        shape = shape_of(spec, found)
        assert spec.max_length_tokens == 512
        assert shape.num_examples * shape.example_tokens == pytest.approx(10 * 5000, rel=0.02)


class TestRecipes:
    def test_best_learns_longer_and_wider_than_balanced(self) -> None:
        balanced, best = (resolve(recipe, stats(), SMALL, "cpu") for recipe in (Recipe.BALANCED, Recipe.BEST))
        assert best.num_epochs > balanced.num_epochs
        assert rank_of(best) > rank_of(balanced)

    def test_all_but_fast_stop_when_they_learn_no_more(self) -> None:
        patience = [resolve(recipe, stats(), SMALL, "cpu").early_stopping_patience for recipe in Recipe]
        assert patience == [None, 3, 3]

    def test_more_of_anything_is_more_work(self) -> None:
        specs = [resolve(recipe, stats(), SMALL, "cpu") for recipe in Recipe]
        tokens = [plan_steps(spec, shape_of(spec, stats()))[1] for spec in specs]
        assert tokens == sorted(tokens)
        assert tokens[1] == 3 * 1500 * 66

    def test_plain_text_gets_the_wider_adapter(self) -> None:
        spec = resolve(Recipe.BALANCED, stats(), SMALL, "cpu", objective=ContinuedPretrainingObjective())
        assert rank_of(spec) > rank_of(resolve(Recipe.BALANCED, stats(), SMALL, "cpu"))

    @pytest.mark.parametrize(("method", "objective"), COMBINATIONS, ids=str)
    @pytest.mark.parametrize("recipe", list(Recipe))
    def test_every_method_and_objective_has_a_recipe(self, recipe: Recipe, method: str, objective: Objective) -> None:
        for hardware, base in (("cpu", SMALL), ("gpu:h100", LARGE)):
            spec = resolve(recipe, stats(), base, hardware, objective=objective, method_type=method)
            assert spec.method.type == method
            assert spec.objective == objective
            assert 1e-6 <= spec.learning_rate <= 0.1


class TestRates:
    def rate(self, method: str, objective: Objective | None = None, *, is_large: bool = True) -> float:
        base = LARGE if is_large else SMALL
        return resolve(
            Recipe.BALANCED, stats(), base, "gpu:h100", objective=objective or SftObjective(), method_type=method
        ).learning_rate

    def test_a_large_model_gets_the_gentler_rate(self) -> None:
        assert self.rate("lora") == 2e-4
        assert self.rate("lora", is_large=False) == 1e-3

    @pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.type)
    def test_an_adapters_rate_is_ten_times_that_of_all_weights(self, objective: Objective) -> None:
        if objective.type == "dpo":
            assert self.rate("lora", objective) == 5e-5
        else:
            assert self.rate("lora", objective) == pytest.approx(10 * self.rate("full", objective))

    def test_orpo_has_the_rates_of_trls_example(self) -> None:
        assert (self.rate("full", OrpoObjective()), self.rate("lora", OrpoObjective())) == (8e-6, 8e-5)

    def test_methods_that_learn_faster_get_less(self) -> None:
        lora = self.rate("lora")
        assert self.rate("qlora") == self.rate("dora") == lora
        assert self.rate("rslora") == lora / 2
        assert self.rate("pissa") == lora / 4
        assert self.rate("lora_plus") == pytest.approx(lora / 4)

    @pytest.mark.parametrize(("method", "alpha"), [("lora", 32), ("rslora", 32), ("pissa", 16)])
    def test_the_scale_belongs_to_the_method(self, method: str, alpha: int) -> None:
        spec = resolve(Recipe.BALANCED, stats(), SMALL, "cpu", method_type=method)
        assert getattr(spec.method, "alpha", None) == alpha

    def test_a_rank_that_was_asked_for_takes_its_scale_along(self) -> None:
        def made(method: str, **asked: int) -> Method:
            return resolve(Recipe.FAST, stats(), SMALL, "cpu", method_type=method, adapter=asked).method

        assert made("lora", rank=64) == LoraMethod(rank=64, alpha=128)
        assert made("lora", rank=64, alpha=16) == LoraMethod(rank=64, alpha=16)
        assert made("rslora", rank=64) == RsloraMethod(rank=64, alpha=64)


class TestWords:
    def test_openai_words_are_applied_and_auto_means_the_rule(self) -> None:
        words: dict[str, Any] = {"n_epochs": 2, "batch_size": "auto", "learning_rate_multiplier": 0.5}
        spec = resolve(Recipe.FAST, stats(), SMALL, "cpu", words)
        rule = resolve(Recipe.FAST, stats(), SMALL, "cpu")
        assert (spec.num_epochs, spec.max_seen_tokens) == (2, None)
        assert spec.batch_size == rule.batch_size
        assert spec.learning_rate == pytest.approx(rule.learning_rate / 2)

    def test_the_specs_own_words_go_before_the_rules(self) -> None:
        words = {"learning_rate": 3e-4, "max_length_tokens": 64, "eval_every_steps": 5, "schedule": "linear"}
        spec = resolve(Recipe.BALANCED, stats(), SMALL, "cpu", words)
        assert spec.model_dump(include=set(words)) == words

    def test_an_unknown_word_is_refused_by_name(self) -> None:
        with pytest.raises(Invalid) as refused:
            resolve(Recipe.FAST, stats(), SMALL, "cpu", {"epochs": 3})
        assert refused.value.param == "epochs"
