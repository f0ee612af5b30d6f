import pytest

from core.base_models import service as base_models
from core.errors import Invalid
from core.training.planning import Plan, plan_run
from core.training.recipes import DatasetStats, Recipe
from core.training.request import RunRequest

STATS = DatasetStats(num_train=90, num_heldout=10, num_tokens=5000, max_row_tokens=120, p99_row_tokens=100)


def plan(multiplier: float) -> Plan:
    return plan_run(
        RunRequest(model="m", dataset_version_id="dsv_1", learning_rate_multiplier=multiplier),
        recipe=Recipe.BALANCED,
        stats=STATS,
        base=base_models.default_base_model(),
        seed=1,
        tokens_per_s=100,
        hardware="cpu",
        price_micros_per_hour=1,
    )


def test_the_multiplier_scales_the_recipes_rate() -> None:
    assert plan(2.0).spec.learning_rate == 2 * plan(1.0).spec.learning_rate


@pytest.mark.parametrize("multiplier", [1e308, 1000.0, 5e-324])
def test_a_multiplier_that_leaves_no_usable_rate_is_refused_by_name(multiplier: float) -> None:
    with pytest.raises(Invalid) as refused:
        plan(multiplier)
    assert refused.value.error_code == "out_of_range"
    assert refused.value.param == "method.supervised.hyperparameters.learning_rate_multiplier"
