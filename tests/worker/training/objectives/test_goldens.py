"""The losses of every method with every objective, known to five digits: a change of numerics must be meant.

To renew them on purpose, and then to look at what changed and why:

    python -m pytest tests/worker/training/objectives/test_goldens.py --renew-goldens -p no:xdist
    git diff tests/assets/goldens/losses.json
"""

import json
from collections.abc import Callable, Iterator
from itertools import product
from math import log
from pathlib import Path

import pytest

from core.training.methods import (
    DoraMethod,
    FullMethod,
    LoraMethod,
    LoraPlusMethod,
    Method,
    PissaMethod,
    PromptTuningMethod,
    QloraMethod,
    RsloraMethod,
)
from core.training.objectives import ContinuedPretrainingObjective, DpoObjective, Objective, OrpoObjective, SftObjective
from tests.worker.training.conftest import execute
from tests.worker.training.objectives.conftest import metrics_of

_FILE = Path(__file__).parents[3] / "assets" / "goldens" / "losses.json"
_REL = 1e-4  # another processor adds in another order

METHODS: dict[str, tuple[Method, float]] = {
    "lora": (LoraMethod(rank=4, alpha=8), 1e-2),
    "qlora": (QloraMethod(rank=4, alpha=8), 1e-2),
    "rslora": (RsloraMethod(rank=4, alpha=8), 1e-2),
    "dora": (DoraMethod(rank=4, alpha=8), 1e-2),
    "lora_plus": (LoraPlusMethod(rank=4, alpha=8, learning_rate_ratio=4), 5e-3),
    "pissa": (PissaMethod(rank=4, alpha=8), 1e-2),
    "prompt_tuning": (PromptTuningMethod(num_virtual_tokens=4), 3e-2),
    "full": (FullMethod(), 3e-3),
}
"""And a learning rate at which it gets somewhere in four steps."""
OBJECTIVES: dict[str, Objective] = {
    "sft": SftObjective(),
    "dpo": DpoObjective(),
    "orpo": OrpoObjective(),
    "continued_pretraining": ContinuedPretrainingObjective(),
}
_KEEP_NO_BASE = {"pissa", "full"}
ALLOWED = [pair for pair in product(METHODS, OBJECTIVES) if not (pair[1] == "dpo" and pair[0] in _KEEP_NO_BASE)]

Golden = dict[str, float | list[float]]


@pytest.fixture(scope="session")
def compare(request: pytest.FixtureRequest) -> Iterator[Callable[[str, Golden], None]]:
    """With what is in the file; or it is written anew when all of it has been measured."""
    is_renewal = bool(request.config.getoption("--renew-goldens", default=False))
    known: dict[str, Golden] = {} if is_renewal else json.loads(_FILE.read_text())

    def compare(name: str, found: Golden) -> None:
        expected = known.setdefault(name, found) if is_renewal else known[name]
        assert found.keys() == expected.keys()
        for key, value in found.items():
            assert value == pytest.approx(expected[key], rel=_REL), key

    yield compare
    if is_renewal:
        _FILE.parent.mkdir(exist_ok=True)
        _FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


@pytest.mark.parametrize(("method", "objective"), ALLOWED)
def test_losses_are_the_known_ones(
    make_run_of: Callable[..., Path], compare: Callable[[str, Golden], None], method: str, objective: str
) -> None:
    spec, rate = METHODS[method]
    folder = make_run_of(OBJECTIVES[objective], method=spec, learning_rate=rate, num_epochs=1)
    result = execute(folder)
    found = {
        "base": result["base_heldout_loss"],
        "train": metrics_of(folder, "train_loss"),
        "tuned": result["tuned_heldout_loss"],
    }
    assert len(found["train"]) == 4
    assert found["tuned"] < found["base"]
    if objective == "dpo":
        assert found["base"] == pytest.approx(log(2), abs=1e-7)
        assert result["base_heldout_accuracy"] == 0.5
    compare(f"{method}/{objective}", {key: _rounded(value) for key, value in found.items()})


def _rounded(value: float | list[float]) -> float | list[float]:
    return [round(one, 6) for one in value] if isinstance(value, list) else round(value, 6)
