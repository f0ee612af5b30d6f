"""What the registry of tuned models keeps of how each was made."""

import pytest

from tests.core.training.test_runs import Runs, runs

__all__ = ["runs"]

pytestmark = pytest.mark.stack


@pytest.mark.parametrize(
    ("asked", "quantization"),
    [
        ({"adapter_type": "lora"}, None),
        ({"adapter_type": "qlora"}, "nf4"),
        ({"adapter_type": "dora", "quantization": "nf4"}, "nf4"),
        ({"adapter_type": "rslora", "quantization": "none"}, None),
        ({"adapter_type": "prompt_tuning", "quantization": "nf4"}, "nf4"),
        ({"adapter_type": "pissa"}, None),
        ({"adapter_type": "full"}, None),
    ],
)
def test_a_tuned_model_keeps_its_method_and_how_its_base_was_held(
    runs: Runs, asked: dict[str, str], quantization: str | None
) -> None:
    made = runs.create(dataset_version_id=runs.version().id, **asked)
    runs.succeed(runs.claim())
    adapter = runs.get(made.run.id).adapter
    assert adapter is not None
    assert (adapter.method, adapter.quantization) == (asked["adapter_type"], quantization)
    assert adapter.spec["method"]["type"] == asked["adapter_type"]
    assert adapter.spec["objective"] == {"type": "sft"}


def test_a_preference_runs_objective_is_part_of_its_lineage(runs: Runs) -> None:
    version = runs.version(kind="preference")
    made = runs.create(dataset_version_id=version.id, method_type="dpo", beta=0.3)
    runs.succeed(runs.claim())
    adapter = runs.get(made.run.id).adapter
    assert adapter is not None
    assert adapter.spec["objective"] == {"type": "dpo", "beta": 0.3, "label_smoothing": 0.0}
