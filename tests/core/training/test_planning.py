from typing import Any

import pytest

from core.base_models import service as base_models
from core.errors import Invalid
from core.jobs.kinds import QueueName
from core.kit.clock import utc_now
from core.training import gpus
from core.training.hardware import Offer
from core.training.placement import Machine
from core.training.planning import Plan, execution_of, plan_run, recommended
from core.training.recipes import DatasetStats, Recipe
from core.training.request import AdapterType, MethodType, RunRequest
from core.training.spec import ExecutionPlan
from core.usage.models import Price
from core.workers.hardware import CPU

SHORT = DatasetStats(num_train=90, num_heldout=10, num_tokens=5000, max_row_tokens=120, p99_row_tokens=100)
LONG = DatasetStats(num_train=1500, num_heldout=150, num_tokens=1650 * 900, max_row_tokens=9000, p99_row_tokens=4000)
GIB = 2**30
LARGEST = "llama-3.3-70b-instruct"


def offer(hardware: str = CPU, *, memory_gib: float | None = None, num_devices: int = 1) -> Offer:
    memory_bytes = int(memory_gib * GIB) if memory_gib else gpus.find(hardware).memory_bytes or None
    price = Price(id="p", hardware=hardware, micros_per_hour=3_600_000, valid_from=utc_now(), source="test")
    return Offer(
        machine=Machine(hardware, memory_bytes, num_devices),
        queue=QueueName.CPU if hardware == CPU else QueueName.GPU,
        price=price,
    )


def plan(
    *offers: Offer,
    model: str = "smollm2-135m-instruct",
    stats: DatasetStats = SHORT,
    recipe: Recipe = Recipe.BALANCED,
    **asked: Any,  # noqa: ANN401 - as RunRequest has them
) -> Plan:
    return plan_run(
        RunRequest(model=model, dataset_version_id="dsv_1", **asked),
        recipe=recipe,
        stats=stats,
        base=base_models.get(model),
        seed=1,
        offers=offers or [offer()],
    )


def refusal(*offers: Offer, **asked: Any) -> Invalid:  # noqa: ANN401
    with pytest.raises(Invalid) as refused:
        plan(*offers, **asked)
    assert refused.value.error_code == "does_not_fit"
    return refused.value


class TestKnobs:
    def test_the_multiplier_scales_the_recipes_rate(self) -> None:
        assert plan(learning_rate_multiplier=2.0).spec.learning_rate == 2 * plan().spec.learning_rate

    @pytest.mark.parametrize("multiplier", [1e308, 1000.0, 5e-324])
    def test_a_multiplier_that_leaves_no_usable_rate_is_refused_by_name(self, multiplier: float) -> None:
        with pytest.raises(Invalid) as refused:
            plan(learning_rate_multiplier=multiplier)
        assert refused.value.error_code == "out_of_range"
        assert refused.value.param == "method.supervised.hyperparameters.learning_rate_multiplier"

    def test_more_than_the_model_reads_is_refused_by_name(self) -> None:
        with pytest.raises(Invalid) as refused:
            plan(max_length_tokens=9000)
        assert refused.value.param == "training.max_length_tokens"

    def test_what_an_expert_sets_is_what_is_trained(self) -> None:
        found = plan(
            method_type=MethodType.ORPO, beta=0.2, adapter_type=AdapterType.DORA, rank=8, schedule="linear", n_epochs=4
        ).spec
        assert (found.objective.type, found.method.type, found.schedule, found.num_epochs) == (
            "orpo",
            "dora",
            "linear",
            4,
        )


class TestMethod:
    def test_auto_keeps_the_base_whole_where_it_fits(self) -> None:
        assert plan(offer("gpu:h100"), model="llama-3.1-8b-instruct").spec.method.type == "lora"

    def test_auto_takes_four_bits_where_it_does_not(self) -> None:
        found = plan(offer("gpu:l4"), model="qwen3-14b")
        assert found.spec.method.type == "qlora"
        assert found.memory.fits(gpus.find("gpu:l4").memory_bytes)

    def test_a_70b_model_is_planned_in_four_bits_on_one_card_of_80_gb(self) -> None:
        found = plan(offer("gpu:h100"), model=LARGEST, stats=LONG)
        assert found.spec.method.type == "qlora"
        assert found.execution.num_processes == 1
        assert found.execution.gradient_checkpointing
        assert (found.execution.micro_batch_tokens or 0) >= 4096
        assert found.estimate.peak_memory_bytes * 1.08 <= 81_559 * 2**20
        assert [fit.fits for fit in found.fits_on] == [False, False, False, True, True]

    def test_what_was_asked_for_is_kept(self) -> None:
        found = plan(offer("gpu:h100"), adapter_type=AdapterType.QLORA)
        assert found.spec.method.type == "qlora"

    def test_other_methods_take_four_bits_where_they_must_and_may(self) -> None:
        one = plan(offer("gpu:l4"), model="qwen3-14b", adapter_type=AdapterType.RSLORA)
        assert getattr(one.spec.method, "quantization", None) == "nf4"
        error = refusal(offer("gpu:l4"), model="qwen3-14b", adapter_type=AdapterType.RSLORA, quantization="none")
        assert {"adapter.type": "qlora"} in error.details["changes"]


class TestExecution:
    def test_a_processor_works_on_its_usual_micro_batches(self) -> None:
        assert plan().execution == ExecutionPlan(micro_batch_tokens=512)

    def test_a_micro_batch_holds_the_longest_pair(self) -> None:
        found = plan(offer("gpu:a100-80gb"), model="llama-3.1-8b-instruct", stats=LONG, method_type=MethodType.DPO)
        assert found.spec.max_length_tokens == 4032
        assert (found.execution.micro_batch_tokens or 0) >= 2 * 4032

    def test_several_cards_share_a_step_that_is_large_enough(self) -> None:
        found = plan(offer("gpu:h100", num_devices=8), model="llama-3.1-8b-instruct", stats=LONG)
        assert found.execution.num_processes > 1
        assert found.execution.sharding == "none"
        assert found.price_micros_per_hour == found.execution.num_processes * 3_600_000
        assert plan(offer("gpu:h100", num_devices=8)).execution.num_processes == 1

    def test_what_fits_on_no_card_by_itself_is_spread_over_them(self) -> None:
        found = plan(offer("gpu:a100-40gb", num_devices=8), model=LARGEST, adapter_type=AdapterType.LORA)
        assert (found.execution.sharding, found.execution.num_processes) == ("full", 8)

    def test_it_goes_with_the_run_and_an_older_run_has_the_usual_one(self) -> None:
        found = plan(offer("gpu:h100"))
        assert execution_of(found.dump()) == found.execution
        assert execution_of({"seconds": 1}) == execution_of(None) == ExecutionPlan()

    def test_the_first_offer_that_can_hold_it_is_taken(self) -> None:
        found = plan(offer("gpu:rtx-4090"), offer("gpu:h100"), model=LARGEST)
        assert found.hardware == "gpu:h100"


class TestRefusal:
    def test_it_says_what_is_missing_and_what_would_fit(self) -> None:
        error = refusal(offer("gpu:rtx-4090"), model=LARGEST)
        assert "Llama 3.3 70B Instruct does not fit: this run needs about 4" in error.message
        assert "has 24 GB" in error.message
        assert "such as H100 80 GB" in error.message
        assert error.details["changes"] == [{"model": "qwen3-32b"}]

    def test_whole_weights_are_told_of_four_bits(self) -> None:
        error = refusal(offer("gpu:rtx-4090"), model="qwen3-14b", adapter_type=AdapterType.LORA)
        assert {"adapter.type": "qlora"} in error.details["changes"]

    def test_long_examples_are_told_of_shorter_ones(self) -> None:
        stats = LONG.model_copy(update={"p99_row_tokens": 32_000, "max_row_tokens": 32_000})
        error = refusal(offer("gpu:rtx-4090"), model="llama-3.1-8b-instruct", stats=stats)
        assert [change for change in error.details["changes"] if "training.max_length_tokens" in change]
        length = next(
            c["training.max_length_tokens"] for c in error.details["changes"] if "training.max_length_tokens" in c
        )
        assert plan(offer("gpu:rtx-4090"), model="llama-3.1-8b-instruct", stats=stats, max_length_tokens=length)

    def test_every_weight_of_a_large_model_is_refused_for_an_adapter(self) -> None:
        error = refusal(offer("gpu:h100"), model="llama-3.1-8b-instruct", adapter_type=AdapterType.FULL)
        assert {"adapter.type": "lora"} in error.details["changes"]

    def test_a_processor_with_too_little_memory_is_refused_too(self) -> None:
        assert "processor" in refusal(offer(memory_gib=8), model="qwen3-14b").message

    def test_of_a_machine_whose_memory_nobody_told_nothing_is_refused(self) -> None:
        assert plan(offer(), model=LARGEST).spec.method.type == "lora"


class TestEstimate:
    def test_start_is_not_paid_for(self) -> None:
        found = plan()
        assert found.estimate.work_seconds < found.estimate.seconds
        assert found.cost_micros == pytest.approx(found.estimate.work_seconds * 1000, abs=1)

    def test_fast_is_minutes_on_a_processor(self) -> None:
        stats = DatasetStats(
            num_train=1800, num_heldout=200, num_tokens=2000 * 66, max_row_tokens=150, p99_row_tokens=110
        )
        assert plan(stats=stats, recipe=Recipe.FAST).estimate.seconds <= 300

    def test_more_thorough_costs_more(self) -> None:
        costs = [plan(recipe=recipe).cost_micros for recipe in Recipe]
        assert costs == sorted(costs)

    @pytest.mark.parametrize(
        ("asked", "factor"),
        [
            ({"adapter_type": AdapterType.DORA}, 1.26),
            ({"method_type": MethodType.DPO, "n_epochs": 3}, 1.5),
            ({"adapter_type": AdapterType.FULL}, 1.47),
        ],
    )
    def test_methods_take_what_was_measured_of_them(self, asked: dict[str, Any], factor: float) -> None:
        lora = plan(adapter_type=AdapterType.LORA).estimate.tokens_per_second
        assert lora / plan(**asked).estimate.tokens_per_second == pytest.approx(factor, rel=0.05)

    def test_the_kept_estimate_is_whole(self) -> None:
        kept = plan(offer("gpu:h100")).dump()
        assert sum(kept["memory"].values()) == kept["peak_memory_bytes"]
        assert kept["cost_micros_low"] < kept["cost_micros"] < kept["cost_micros_high"]
        assert (kept["based_on"], kept["num_past_runs"]) == ("catalogue", 0)
        assert len(kept["fits_on"]) == 5

    def test_balanced_is_recommended_unless_it_takes_hours(self) -> None:
        plans = [plan(recipe=recipe) for recipe in Recipe]
        assert recommended(plans) is Recipe.BALANCED
        assert recommended([plan(recipe=recipe, stats=LONG, model="qwen3-4b") for recipe in Recipe]) is Recipe.FAST
        assert recommended([]) is None


FEW_AND_MANY = [*range(10, 52), 99, 100, 101, 500, 5000, 8333, 8334, 12_500, 12_501, 33_334, 60_000, 200_000]


def with_rows(num_train: int, *, mean: int) -> DatasetStats:
    num_heldout = min(500, max(1, num_train // 9))
    return DatasetStats(
        num_train=num_train,
        num_heldout=num_heldout,
        num_tokens=(num_train + num_heldout) * mean,
        max_row_tokens=3 * mean,
        p99_row_tokens=2 * mean,
    )


class TestTheThree:
    @pytest.mark.parametrize("hardware", [CPU, "gpu:h100"])
    @pytest.mark.parametrize("mean", [40, 900])
    @pytest.mark.parametrize(
        ("method_type", "adapter_type"),
        [
            (MethodType.SUPERVISED, AdapterType.AUTO),
            (MethodType.SUPERVISED, AdapterType.PROMPT_TUNING),
            (MethodType.DPO, AdapterType.AUTO),
            (MethodType.ORPO, AdapterType.AUTO),
            (MethodType.CONTINUED_PRETRAINING, AdapterType.AUTO),
        ],
    )
    def test_fast_begins_and_ends_before_balanced_and_balanced_before_best_however_many_rows(
        self, hardware: str, mean: int, method_type: MethodType, adapter_type: AdapterType
    ) -> None:
        for num_train in FEW_AND_MANY:
            stats = with_rows(num_train, mean=mean)
            fast, balanced, best = (
                plan(offer(hardware), stats=stats, recipe=recipe, method_type=method_type, adapter_type=adapter_type)
                for recipe in Recipe
            )
            for quicker, slower in ((fast, balanced), (balanced, best)):
                for figure in ("seconds_low", "seconds", "seconds_high", "work_seconds_low", "work_seconds_high"):
                    found, later = getattr(quicker.estimate, figure), getattr(slower.estimate, figure)
                    assert found <= later * 1.000001, (num_train, quicker.recipe, figure)
            assert fast.estimate.work_seconds < 0.75 * balanced.estimate.work_seconds, num_train

    def test_the_lower_end_is_of_a_run_that_stops_as_soon_as_it_may(self) -> None:
        stats = with_rows(400, mean=60)
        found, patient = plan(stats=stats), plan(stats=stats, early_stopping_patience=8)
        assert (found.spec.early_stopping_patience, found.spec.eval_every_steps) == (3, 19)
        assert found.estimate.num_steps == patient.estimate.num_steps == 150
        # 76 of 150 steps, and five of nine measurements; who waits for eight bad ones never stops
        assert 76 / 150 < found.estimate.work_seconds_low / patient.estimate.work_seconds_low < 5 / 9
        assert found.estimate.work_seconds == patient.estimate.work_seconds
        for end in ("", "_low", "_high"):
            began = getattr(found.estimate, f"seconds{end}") - getattr(found.estimate, f"work_seconds{end}")
            assert began == pytest.approx(found.estimate.seconds - found.estimate.work_seconds), "the start is as long"

    def test_the_base_is_measured_once_and_the_end_once(self) -> None:
        once, twice = (plan(stats=with_rows(400, mean=60), eval_every_steps=every).estimate for every in (150, 75))
        learning, measuring = once.total_tokens / once.tokens_per_second, twice.work_seconds - once.work_seconds
        assert once.work_seconds == pytest.approx(learning + 2 * measuring)
