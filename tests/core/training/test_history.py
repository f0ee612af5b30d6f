import math

import pytest

from core.base_models import service as base_models
from core.training.history import Calibration, PastRun, calibrate
from core.training.methods import LoraMethod, Method, QloraMethod
from core.training.spec import ExecutionPlan, TrainingSpec
from core.training.throughput import tokens_per_s

SMALL = base_models.default_base_model()
OTHER = base_models.get("smollm2-360m-instruct")
BASES = {model.id: model for model in base_models.list_base_models()}
EXECUTION = ExecutionPlan(micro_batch_tokens=512)
LORA = LoraMethod()


def past(
    slowness: float,
    *,
    base: str = SMALL.id,
    method: Method = LORA,
    hardware: str = "cpu",
    memory_excess: float = 1.0,
) -> PastRun:
    """A run that took `slowness` times what the arithmetic has for it."""
    spec = TrainingSpec(base_model=base, method=method)
    speed = tokens_per_s(spec, BASES[base], EXECUTION, hardware=hardware, tokens=512, mean_tokens=60, step_tokens=1000)
    found = PastRun.read(
        base_model=base,
        hardware=hardware,
        spec=spec.model_dump(mode="json"),
        estimate={
            "execution": EXECUTION.model_dump(mode="json"),
            "sequence_tokens": 60,
            "step_tokens": 1000,
            "memory": {"weights_bytes": 600, "runtime_bytes": 400},
        },
        results={"tokens_per_second": speed / slowness, "peak_memory_bytes": 1000 * memory_excess},
    )
    assert found is not None
    return found


def calibrated(*runs: PastRun) -> Calibration:
    spec = TrainingSpec(base_model=SMALL.id, method=LORA)
    return calibrate(runs, spec=spec, base=SMALL, bases=BASES, hardware="cpu")


def width(found: Calibration) -> float:
    return math.log(found.seconds_high / found.seconds_low)


def test_with_no_run_the_catalogue_speaks_and_the_interval_is_wide() -> None:
    assert calibrated() == Calibration()
    assert (Calibration().seconds_low, Calibration().seconds_high) == (0.5, 2.5)


def test_runs_alike_move_the_prediction_to_their_median() -> None:
    found = calibrated(past(3.0), past(2.0), past(2.2))
    assert found.seconds == pytest.approx(2.2)
    assert (found.source, found.num_runs) == ("own_runs", 3)
    assert found.seconds_low < found.seconds < found.seconds_high


def test_the_interval_shrinks_as_runs_agree() -> None:
    widths = [width(calibrated(*[past(1.5)] * count)) for count in (1, 2, 5, 20)]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] < width(Calibration())
    assert widths[-1] < math.log(1.3)


def test_the_interval_holds_four_fifths_of_runs_that_vary() -> None:
    """Past ratios of 0.8 to 1.25: the 10th to 90th percentile of the next one is about as wide."""
    found = calibrated(*[past(math.exp(0.22 * z / 10)) for z in range(-10, 11)])
    assert found.seconds_low == pytest.approx(math.exp(-0.18), abs=0.05)
    assert found.seconds_high == pytest.approx(math.exp(0.18), abs=0.08)


def test_other_models_and_methods_on_the_same_machine_say_less() -> None:
    found = calibrated(past(2.0, base=OTHER.id), past(2.0, method=QloraMethod()))
    assert (found.source, found.seconds) == ("other_runs", pytest.approx(2.0))
    assert width(found) > width(calibrated(past(2.0), past(2.0)))


def test_other_hardware_says_nothing() -> None:
    assert calibrated(past(5.0, hardware="gpu:h100")) == Calibration()


def test_memory_is_corrected_upwards_only_and_within_reason() -> None:
    assert calibrated(past(1.0, memory_excess=0.7)).memory == 1.0
    assert calibrated(past(1.0, memory_excess=1.1), past(1.0, memory_excess=0.9)).memory == pytest.approx(1.1)
    assert calibrated(past(1.0, memory_excess=9.0)).memory == 1.3


def test_documents_of_an_older_form_say_nothing() -> None:
    assert PastRun.read(base_model="x", hardware="cpu", spec={"old": 1}, estimate={}, results={}) is None
    assert PastRun.read(base_model="x", hardware="cpu", spec={"base_model": "x"}, estimate=None, results={}) is None
    bare = PastRun.read(
        base_model=SMALL.id, hardware="cpu", spec={"base_model": SMALL.id}, estimate={}, results={"steps": 3}
    )
    assert bare is not None
    assert calibrated(bare) == Calibration()
