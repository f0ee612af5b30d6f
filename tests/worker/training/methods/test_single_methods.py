"""What is peculiar to one method: scales, rates, starts."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from transformers import AutoTokenizer

from core.training.methods import LoraMethod, LoraPlusMethod, PissaMethod, PromptTuningMethod, RsloraMethod
from core.training.spec import TrainingSpec
from tests.worker.training.conftest import execute
from tests.worker.training.methods.every_method import learned, logits_of, prepare, rows
from worker.training import checkpoint, optimizers, snapshot
from worker.training.failures import Interrupted
from worker.training.methods import lora, lora_plus, pissa, prompt_tuning, rslora
from worker.training.methods.adapters import LowRankModel
from worker.training.methods.model import Machine

CPU = Machine("cpu", torch.float32)


def layer_of(model: LowRankModel, name: str = "model.layers.0.self_attn.q_proj") -> LoraLayer:
    layer = model.peft_model.get_base_model().get_submodule(name)
    assert isinstance(layer, LoraLayer)
    return layer


class TestRslora:
    def test_the_scale_falls_with_the_root_of_the_rank(self, base_model_dir: Path) -> None:
        plain = lora.prepare(LoraMethod(rank=16, alpha=8), base_model_dir, machine=CPU)
        stable = rslora.prepare(RsloraMethod(rank=16, alpha=8), base_model_dir, machine=CPU)
        assert layer_of(plain).scaling["default"] == 8 / 16
        assert layer_of(stable).scaling["default"] == 8 / 4


class TestLoraPlus:
    def test_every_b_and_nothing_else_has_the_higher_rate(self, base_model_dir: Path) -> None:
        model = lora_plus.prepare(LoraPlusMethod(rank=4, learning_rate_ratio=16), base_model_dir, machine=CPU)
        scales = {name: model.rate_scale(name) for name in model.trainable()}
        assert {scale for name, scale in scales.items() if "lora_B" in name} == {16}
        assert {scale for name, scale in scales.items() if "lora_A" in name} == {1}

    def test_a_step_moves_b_by_that_much_more(self, base_model_dir: Path) -> None:
        model = lora_plus.prepare(LoraPlusMethod(rank=4, learning_rate_ratio=16), base_model_dir, machine=CPU)
        optimizer = optimizers.build(TrainingSpec(base_model="tiny", learning_rate=1e-3), model, say=print)
        before = {name: weight.detach().clone() for name, weight in model.trainable().items()}
        for weight in model.trainable().values():
            weight.grad = torch.ones_like(weight)
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * group["rate_scale"]
        optimizer.step()
        for name, weight in model.trainable().items():
            # the first step of Adam is the rate itself, whatever the gradient
            moved = 1e-3 * (16 if "lora_B" in name else 1)
            torch.testing.assert_close(before[name] - weight, torch.full_like(weight, moved), rtol=1e-3, atol=1e-7)


class TestDora:
    @pytest.mark.parametrize("name", ["dora", "dora_nf4"])
    def test_lengths_start_as_those_of_the_weights(self, base_model_dir: Path, name: str) -> None:
        from peft.utils.integrations import dequantize_module_weight

        layer = layer_of(prepare(base_model_dir, name))
        lengths = layer.lora_magnitude_vector["default"].weight
        weight = dequantize_module_weight(layer.get_base_layer())
        torch.testing.assert_close(lengths.detach(), weight.norm(dim=1))
        assert lengths.dtype == torch.float32


class TestPissa:
    def test_it_starts_at_the_largest_singular_directions(self, base_model_dir: Path) -> None:
        plain = lora.prepare(LoraMethod(), base_model_dir, machine=CPU)
        weight = layer_of(plain).get_base_layer().weight.detach()
        torch.manual_seed(0)
        method = PissaMethod(rank=4, alpha=8, num_iterations=64)
        layer = layer_of(pissa.prepare(method, base_model_dir, machine=CPU))
        pair = layer.scaling["default"] * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
        # a random matrix has no gap between its values, so directions mix; what they carry does not
        largest = torch.linalg.svdvals(weight)[:4].square().sum()
        assert 0.99 * largest < pair.square().sum() < 1.001 * largest
        torch.testing.assert_close(layer.get_base_layer().weight + pair, weight, rtol=1e-5, atol=1e-6)

    def test_what_is_shipped_is_the_difference_to_its_start(self, base_model_dir: Path, tmp_path: Path) -> None:
        for change in _changes(prepare(base_model_dir, "pissa"), tmp_path).values():
            torch.testing.assert_close(change, torch.zeros_like(change), rtol=0, atol=1e-7)
        model = learned(base_model_dir, "pissa")
        changes = _changes(model, tmp_path)
        weights = model.trainable()
        for name, change in changes.items():
            a, b = (f"{name}.lora_{side}.default.weight" for side in "AB")
            expected = 2 * (weights[b] @ weights[a] - model.start()[f"start.{b}"] @ model.start()[f"start.{a}"])
            torch.testing.assert_close(change, expected.detach(), rtol=1e-5, atol=1e-6)

    def test_the_same_seed_finds_the_same_start_to_the_bit(self, base_model_dir: Path) -> None:
        one, again, other = (prepare(base_model_dir, "pissa", seed=seed).start() for seed in (1, 1, 2))
        assert all(torch.equal(one[name], again[name]) for name in one)
        assert not all(torch.equal(one[name], other[name]) for name in one)

    def test_a_run_that_goes_on_from_another_start_takes_over_the_first_one(self, base_model_dir: Path) -> None:
        """As where the decomposition rounds otherwise: in other threads, on another processor."""
        model, elsewhere, [ids] = learned(base_model_dir, "pissa"), prepare(base_model_dir, "pissa", seed=5), rows(12)
        elsewhere.load_trainable({**model.trainable(), **model.start()})
        torch.testing.assert_close(logits_of(elsewhere, [ids]), logits_of(model, [ids]), rtol=1e-4, atol=1e-5)
        expected, found = model.adapter_tensors(), elsewhere.adapter_tensors()
        assert all(torch.equal(expected[name], found[name]) for name in expected)

    def test_a_start_goes_with_the_checkpoint_into_a_run_that_finds_another(
        self, make_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The adapter is the difference to the start, so it must be that of the first attempt to the bit."""
        folder = make_run(method=PissaMethod(rank=4, alpha=8), num_epochs=1)
        with pytest.raises(Interrupted):
            execute(folder, stop_at_check=3 + 3)
        [saved, *_] = sorted((folder / "checkpoints").glob("step-*"), reverse=True)
        kept = checkpoint.load(snapshot.read(saved)).section("adapter")
        starts = {name.removeprefix("start."): start for name, start in kept.items() if name.startswith("start.")}
        assert len(starts) == 7 * 2 * 2
        real = torch.svd_lowrank

        def otherwise(*args: Any, **options: Any) -> Any:  # noqa: ANN401
            torch.manual_seed(5)
            return real(*args, **options)

        monkeypatch.setattr("peft.tuners.lora.layer.svd_lowrank", otherwise)
        execute(folder)
        shipped = load_file(folder / "adapter" / "adapter_model.safetensors")
        for name, start in starts.items():
            weight = shipped[name.replace(".default", "")]
            found = weight[4:] if "lora_A" in name else -weight[:, 4:]
            assert torch.equal(found, start)


def _changes(model: LowRankModel, folder: Path) -> dict[str, torch.Tensor]:
    """What the shipped adapter adds to each layer's weight, by the layer's name."""
    import json

    model.save_adapter_config(folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["init_lora_weights"]) == (8, 16, True)
    shipped = model.adapter_tensors()
    names = {name.rpartition(".lora_")[0] for name in shipped}
    return {
        name: config["lora_alpha"] / config["r"] * (shipped[f"{name}.lora_B.weight"] @ shipped[f"{name}.lora_A.weight"])
        for name in names
    }


class TestPromptTuning:
    def start(self, base_model_dir: Path, seed: int = 0, **choices: object) -> torch.Tensor:
        torch.manual_seed(seed)
        method = PromptTuningMethod(num_virtual_tokens=8, **choices)
        model = prompt_tuning.prepare(method, base_model_dir, machine=CPU)
        return model.adapter_tensors()["prompt_embeddings"]

    def test_words_are_repeated_until_there_are_enough(self, base_model_dir: Path) -> None:
        tokenizer = AutoTokenizer.from_pretrained(base_model_dir)
        ids = tokenizer("alpha beta gamma", add_special_tokens=False)["input_ids"]
        assert 1 < len(ids) < 8
        table = load_file(base_model_dir / "model.safetensors")["model.embed_tokens.weight"]
        expected = table[torch.tensor(ids * math.ceil(8 / len(ids)))[:8]]
        assert torch.equal(self.start(base_model_dir, init_text="alpha beta gamma"), expected)

    def test_long_texts_are_cut(self, base_model_dir: Path) -> None:
        long, longer = ("alpha beta gamma delta " * times for times in (9, 10))
        assert torch.equal(self.start(base_model_dir, init_text=long), self.start(base_model_dir, init_text=longer))

    def test_without_a_text_the_seed_draws_words_and_no_markers(self, base_model_dir: Path) -> None:
        one, again, other = (self.start(base_model_dir, seed=seed) for seed in (1, 1, 2))
        assert torch.equal(one, again)
        assert not torch.equal(one, other)
        table = load_file(base_model_dir / "model.safetensors")["model.embed_tokens.weight"]
        drawn = {int((table == vector).all(dim=1).nonzero()[0]) for vector in torch.cat([one, other])}
        assert drawn.isdisjoint({0, 1, 2})  # the three special tokens

    def test_every_sequence_is_read_after_the_vectors(self, base_model_dir: Path) -> None:
        """Against transformers itself, with the vectors put in by hand."""
        model, [ids] = learned(base_model_dir, "prompt_tuning"), rows(9)
        from transformers import AutoModelForCausalLM

        plain = AutoModelForCausalLM.from_pretrained(base_model_dir, dtype=torch.float32)
        prompt = model.adapter_tensors()["prompt_embeddings"]
        embeddings = torch.cat([prompt, plain.get_input_embeddings()(ids)])
        with torch.no_grad():
            expected = plain(inputs_embeds=embeddings[None]).logits[0, len(prompt) :]
        torch.testing.assert_close(logits_of(model, [ids]), expected, rtol=1e-4, atol=1e-5)


class TestFull:
    def test_a_tied_head_is_trained_once(self, base_model_dir: Path) -> None:
        model = prepare(base_model_dir, "full")
        assert "lm_head.weight" not in model.trainable()
        assert model.head.weight is model.trainable()["model.embed_tokens.weight"]
        assert "lm_head.weight" not in model.adapter_tensors()
