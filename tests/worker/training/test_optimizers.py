"""Optimizers of several kinds, and that their state comes back to the bit."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from bitsandbytes.optim import AdamW8bit
from safetensors.torch import load_file

from core.training.methods import FullMethod, LoraMethod, LoraPlusMethod, Method
from core.training.spec import TrainingSpec
from tests.worker.training.conftest import events_of, execute
from worker.training import optimizers
from worker.training.failures import Interrupted
from worker.training.methods import lora
from worker.training.methods.model import Machine, TunableModel

MakeRun = Callable[..., Path]
# each pair of matrices has one of 64 x 64 = 4,096 numbers and more: those are kept in 8 bits
WIDE = LoraMethod(rank=64, alpha=64)
OPTIMIZERS = ["adamw", "adamw_8bit", "paged_adamw_8bit"]


@pytest.fixture
def model(base_model_dir: Path) -> TunableModel:
    torch.manual_seed(0)
    return lora.prepare(WIDE, base_model_dir, machine=Machine("cpu", torch.float32))


def build(model: TunableModel, optimizer: str, say: Callable[[str], None] = print) -> torch.optim.Optimizer:
    return optimizers.build(TrainingSpec(base_model="tiny", optimizer=optimizer), model, say=say)


def step(optimizer: torch.optim.Optimizer, model: TunableModel, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for weight in model.trainable().values():
        weight.grad = torch.randn(weight.shape, generator=generator)
    optimizer.step()


@pytest.mark.parametrize("method", [WIDE, LoraPlusMethod(rank=64, alpha=64), FullMethod()], ids=lambda m: m.type)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_stopped_run_goes_on_to_the_same_bits(make_run: MakeRun, method: Method, optimizer: str) -> None:
    choices = {"method": method, "optimizer": optimizer, "learning_rate": 2e-3, "weight_decay": 0.1}
    whole, stopped = make_run("whole", **choices), make_run("stopped", **choices)
    result = execute(whole)
    with pytest.raises(Interrupted):
        execute(stopped, stop_at_check=3 + 5)
    execute(stopped)
    assert result["tuned_heldout_loss"] < result["base_heldout_loss"]
    [expected], [found] = ([*(folder / "adapter").glob("*model.safetensors")] for folder in (whole, stopped))
    left, right = load_file(expected), load_file(found)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_moments_of_large_matrices_have_8_bits(model: TunableModel) -> None:
    optimizer = build(model, "adamw_8bit")
    step(optimizer, model, seed=1)
    sizes = {(weight.numel() >= 4096, optimizer.state[weight]["state1"].dtype) for weight in model.trainable().values()}
    assert sizes >= {(True, torch.uint8)}
    assert (True, torch.float32) not in sizes


def test_small_matrices_keep_whole_moments(base_model_dir: Path) -> None:
    small = lora.prepare(LoraMethod(rank=4), base_model_dir, machine=Machine("cpu", torch.float32))
    optimizer = build(small, "adamw_8bit")
    step(optimizer, small, seed=1)
    assert {optimizer.state[weight]["state1"].dtype for weight in small.trainable().values()} == {torch.float32}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_state_that_is_saved_and_taken_back_is_the_same_state(model: TunableModel, kind: str) -> None:
    optimizer = build(model, kind)
    for seed in (1, 2):
        step(optimizer, model, seed)
    saved = {name: tensor.clone() for name, tensor in optimizers.state_tensors(optimizer, model.trainable()).items()}
    weights = {name: weight.detach().clone() for name, weight in model.trainable().items()}
    step(optimizer, model, seed=3)
    expected = {name: weight.detach().clone() for name, weight in model.trainable().items()}

    model.load_trainable(weights)
    again = build(model, kind)
    optimizers.restore(again, model.trainable(), saved)
    step(again, model, seed=3)
    assert all(torch.equal(weight, expected[name]) for name, weight in model.trainable().items())
    assert {name.rpartition(".")[0] for name in saved} == set(weights)


def test_before_the_first_step_there_is_no_state(model: TunableModel) -> None:
    for kind in OPTIMIZERS:
        optimizer = build(model, kind)
        assert optimizers.state_tensors(optimizer, model.trainable()) == {}
        optimizers.restore(optimizer, model.trainable(), {})
        step(optimizer, model, seed=1)


def test_a_processor_has_nothing_to_page_and_says_so(model: TunableModel, make_run: MakeRun) -> None:
    said: list[str] = []
    optimizer = build(model, "paged_adamw_8bit", said.append)
    assert isinstance(optimizer, AdamW8bit)
    assert not optimizer.is_paged
    assert len(said) == 1
    folder = make_run(optimizer="paged_adamw_8bit")
    execute(folder)
    assert any("is not paged" in event["message"] for event in events_of(folder, "message"))
