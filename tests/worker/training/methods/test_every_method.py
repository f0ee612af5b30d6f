"""What holds of every method alike: packing, gradients, recomputation, going on after a stop, learning at all."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.worker.training.conftest import execute, row, write_rows
from tests.worker.training.methods.every_method import (
    KEEP_BASE,
    LOW_RANK,
    METHODS,
    backward,
    learned,
    logits_of,
    prepare,
    rows,
)
from worker.training import run as runner
from worker.training.failures import Interrupted

MakeRun = Callable[..., Path]
every_method = pytest.mark.parametrize("name", METHODS)

# loss before and after eight steps: golden, so a change of numerics must be meant
GOLDEN = {
    "lora": (5.837180, 5.102967),
    "qlora": (5.836658, 5.105429),
    "rslora": (5.837180, 5.079137),
    "rslora_nf4": (5.836658, 5.075015),
    "dora": (5.837180, 5.100537),
    "dora_nf4": (5.836658, 5.104802),
    "lora_plus": (5.837180, 5.089047),
    "lora_plus_nf4": (5.836658, 5.086339),
    "pissa": (5.837180, 5.126188),
    "prompt_tuning": (5.837180, 5.553357),
    "prompt_tuning_nf4": (5.836658, 5.562752),
    "full": (5.837180, 2.341763),
}


@every_method
def test_a_run_learns_and_one_that_was_stopped_ends_in_the_same_bits(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(runner, "compute_dtype", lambda _: torch.float32)  # whatever this processor would choose
    whole, stopped = make_run("whole", method=METHODS[name]), make_run("stopped", method=METHODS[name])
    result = execute(whole)
    before, after = GOLDEN[name]
    assert result["base_heldout_loss"] == pytest.approx(before, rel=1e-4)
    assert result["tuned_heldout_loss"] == pytest.approx(after, rel=1e-4)
    # looks at the flag: after tokenizing, after loading, in measuring the base, then once a step
    with pytest.raises(Interrupted):
        execute(stopped, stop_at_check=3 + 5)
    assert execute(stopped)["steps"] == result["steps"] == 8
    expected, found = shipped(whole), shipped(stopped)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def shipped(folder: Path) -> dict[str, torch.Tensor]:
    [weights] = (folder / "adapter").glob("*model.safetensors")
    return dict(load_file(weights))


@every_method
def test_a_row_does_not_feel_its_neighbours(base_model_dir: Path, name: str) -> None:
    model = learned(base_model_dir, name)
    first, second, third = rows(7, 11, 5)
    logits, changed = (logits_of(model, [first, between, third]) for between in (second, second.flip(0)))
    assert torch.equal(logits[:7], changed[:7])
    assert torch.equal(logits[18:], changed[18:])
    assert not torch.equal(logits[7:18], changed[7:18])


@every_method
def test_packed_rows_are_scored_as_rows_alone(base_model_dir: Path, name: str) -> None:
    model = learned(base_model_dir, name)
    some = rows(7, 11, 5)
    alone = torch.cat([logits_of(model, [one]) for one in some])
    torch.testing.assert_close(logits_of(model, some), alone, rtol=1e-5, atol=1e-5)


@every_method
def test_one_micro_batch_of_four_is_four_of_one(base_model_dir: Path, name: str) -> None:
    some = rows(4, 9, 6, 13)
    together, apart = learned(base_model_dir, name), learned(base_model_dir, name)
    num_targets = sum(len(one) - 1 for one in some)
    expected = backward(together, some)
    found = sum(backward(apart, [one], of_targets=num_targets) for one in some)
    torch.testing.assert_close(found, expected)
    for key, weight in apart.trainable().items():
        torch.testing.assert_close(weight.grad, together.trainable()[key].grad, rtol=1e-4, atol=1e-6)


@every_method
def test_only_what_the_method_trains_gets_a_gradient_and_all_of_it_does(base_model_dir: Path, name: str) -> None:
    model = learned(base_model_dir, name)
    backward(model, rows(8, 5))
    in_base = {id(weight) for weight in model.decoder.model.parameters() if weight.grad is not None}
    trained = {id(weight) for weight in model.trainable().values()}
    assert in_base <= trained
    assert all(weight.grad is not None and bool(weight.grad.any()) for weight in model.trainable().values())
    assert {weight.dtype for weight in model.trainable().values()} == {torch.float32}


@pytest.mark.parametrize("name", [name for name in METHODS if not name.startswith("prompt")])
def test_nothing_changes_before_the_first_step(base_model_dir: Path, name: str) -> None:
    some = rows(9)
    plain = "qlora" if name.endswith("nf4") or name == "qlora" else "lora"
    with (base := prepare(base_model_dir, plain)).reference():
        expected = logits_of(base, some)
    torch.testing.assert_close(logits_of(prepare(base_model_dir, name), some), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", KEEP_BASE)
def test_the_reference_is_the_untouched_base(base_model_dir: Path, name: str) -> None:
    some, model = rows(9), learned(base_model_dir, name)
    with (base := prepare(base_model_dir, "qlora" if "nf4" in name or name == "qlora" else "lora")).reference():
        expected = logits_of(base, some)
    tuned = logits_of(model, some)
    with model.reference():
        assert torch.equal(logits_of(model, some), expected)
    assert torch.equal(logits_of(model, some), tuned)
    assert not torch.allclose(tuned, expected, atol=1e-3)


@every_method
def test_recomputed_activations_give_the_same_loss_and_gradients(base_model_dir: Path, name: str) -> None:
    some, calls = rows(8, 13), []
    kept, recomputed = learned(base_model_dir, name), learned(base_model_dir, name, gradient_checkpointing=True)
    for model in (kept, recomputed):
        layer = model.decoder.model.get_decoder().layers[1].input_layernorm
        layer.register_forward_hook(lambda module, *_: calls.append(module))
    assert torch.equal(backward(kept, some), backward(recomputed, some))
    assert len(calls) == 1 + 2  # kept: once; recomputed: forwards, and again backwards
    for key, weight in recomputed.trainable().items():
        torch.testing.assert_close(weight.grad, kept.trainable()[key].grad, rtol=1e-6, atol=1e-9)


# the compiler itself looks at a gradient that is not there
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("name", ["lora", "qlora", "dora", "prompt_tuning", "full"])
def test_compiled_layers_compute_the_same_for_any_pack_and_are_compiled_once(
    base_model_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """By the compiler's front end; the code that its back end makes is for cards."""
    import torch._dynamo

    from worker.training.methods.base import compile_layers

    monkeypatch.setattr("worker.training.methods.base.fused.install", lambda _: None)  # one or the other
    model, packs = learned(base_model_dir, name), [rows(7, 11, 5), rows(9, 9), rows(30), rows(*range(3, 12))]
    expected = [logits_of(model, pack) for pack in packs]
    backward(model, packs[0])
    gradients = {key: weight.grad for key, weight in model.trainable().items()}
    for weight in model.trainable().values():
        weight.grad = None
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compile_layers(model.decoder.model, backend="eager")
    for pack, logits in zip(packs, expected, strict=True):
        assert torch.equal(logits_of(model, pack), logits)
        backward(model, pack)
        for key, weight in model.trainable().items():
            if pack is packs[0]:
                torch.testing.assert_close(weight.grad, gradients[key], rtol=1e-5, atol=1e-7)
    counters = torch._dynamo.utils.counters
    assert 1 <= counters["stats"]["unique_graphs"] <= 8
    assert not counters["graph_break"]
    torch._dynamo.reset()


@pytest.mark.parametrize("name", LOW_RANK)
def test_a_stopped_dropout_is_off_and_a_running_one_is_on(base_model_dir: Path, name: str) -> None:
    method = METHODS[name].model_copy(update={"dropout": 0.5})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, name, method)
        model = learned(base_model_dir, name)
    some = rows(9)
    model.set_dropout(is_on=False)
    assert torch.equal(logits_of(model, some), logits_of(model, some))
    model.set_dropout(is_on=True)
    assert not torch.equal(logits_of(model, some), logits_of(model, some))


def test_the_best_state_is_shipped_and_the_last_is_kept(make_run: MakeRun) -> None:
    """Held out is another answer than the one that is learned: first the form helps, then being sure of it hurts."""
    folder = make_run(method=METHODS["lora"], learning_rate=0.1, num_epochs=6, eval_every_steps=2, schedule="constant")
    write_rows(folder / "train.jsonl", [row(number, answer="alpha") for number in range(24)])
    write_rows(folder / "heldout.jsonl", [row(number, answer="beta") for number in range(6)])
    result = execute(folder)
    assert 0 < result["best_step"] < result["steps"]
    best, last = (load_file(folder / "adapter" / f"{name}.safetensors") for name in ("adapter_model", "last"))
    assert best.keys() == last.keys()
    assert not any(torch.equal(best[name], last[name]) for name in best)
