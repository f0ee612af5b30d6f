"""TRL's own losses and gradients at the batches of `tests/assets/oracles/trl.json`, which says how it came to be."""

import json
import zlib
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from core.training.methods import LoraMethod
from core.training.objectives import DpoObjective, Objective, OrpoObjective, SftObjective
from tests.worker.training.objectives.bigram import batch_of
from worker.training.methods import registry as methods
from worker.training.methods.model import Machine, TunableModel
from worker.training.objectives import registry as objectives
from worker.training.objectives.objective import MicroLoss, Totals
from worker.training.objectives.target_scores import sum_by_sequence, target_log_probs

ORACLE: dict[str, Any] = json.loads((Path(__file__).parents[3] / "assets" / "oracles" / "trl.json").read_text())
DPO, ORPO = ORACLE["dpo"]["cases"]["pairs"], ORACLE["orpo"]["cases"]

Tokens = tuple[list[int], list[float]]
"""Of one sequence, and the weight of each."""


def drawn(name: str, shape: Sequence[int], scale: float) -> torch.Tensor:
    """The file's rule for weights."""
    draw = np.random.default_rng([ORACLE["model"]["seed"], zlib.crc32(name.encode())]).random(tuple(shape))
    weight = (draw - 0.5) * scale
    return torch.from_numpy(1 + weight if name.endswith("norm.weight") else weight).float()


@pytest.fixture(scope="module")
def oracle_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("oracle")
    base = LlamaForCausalLM(LlamaConfig(**ORACLE["model"]["config"]))
    with torch.no_grad():
        for name, weight in base.named_parameters():
            weight.copy_(drawn(name, weight.shape, ORACLE["model"]["scale"]))
            if name in ORACLE["weights_check"]:
                assert float(weight.abs().double().sum()) == pytest.approx(ORACLE["weights_check"][name])
    base.save_pretrained(folder)
    return folder


@pytest.fixture
def model(oracle_dir: Path) -> TunableModel:
    lora = ORACLE["lora"]
    method = LoraMethod(rank=lora["rank"], alpha=lora["alpha"])
    model = methods.prepare(method, oracle_dir, machine=Machine("cpu", torch.float32))
    with torch.no_grad():
        for name, weight in model.trainable().items():
            weight.copy_(drawn(short(name), weight.shape, lora["scale"]))
    model.set_dropout(is_on=False)
    return model


def short(name: str) -> str:
    return name.removeprefix("base_model.model.").replace(".default.weight", "")


def pairs(rows: list[dict[str, list[int]]]) -> list[Tokens]:
    """Of each row the preferred answer and then the other, after their prompt."""
    sides = [(row["prompt_ids"], row[side]) for row in rows for side in ("chosen_ids", "rejected_ids")]
    return [(prompt + answer, [0.0] * len(prompt) + [1.0] * len(answer)) for prompt, answer in sides]


def loss_at(
    model: TunableModel, spec: Objective, sequences: list[Tokens], part: slice = slice(None), *, per_example: int = 1
) -> MicroLoss:
    """Of some of the sequences, as a part of a step that has all of them."""
    weights = [sum(values[1:]) for _, values in sequences]
    totals = Totals(
        weight=sum(weights),
        preferred_weight=sum(weights[::per_example]),
        num_targets=int(sum(weights)),
        num_examples=len(sequences) // per_example,
    )
    return objectives.build(spec).micro_loss(model, batch_of(sequences[part]), totals)


def assert_gradients(model: TunableModel, loss: torch.Tensor, expected: dict[str, Any]) -> None:
    loss.backward()
    norms = {short(name): float(weight.grad.double().norm()) for name, weight in model.trainable().items()}
    assert norms == pytest.approx(expected["lora_gradient_norms"], rel=1e-4, abs=1e-6)
    assert sqrt(sum(norm**2 for norm in norms.values())) == pytest.approx(expected["grad_norm"], rel=1e-5)


def log_probs(model: TunableModel, sequences: list[Tokens]) -> list[float]:
    batch = batch_of(sequences)
    with torch.no_grad():
        return sum_by_sequence(target_log_probs(model, batch)[0], batch).tolist()


SFT_ROWS = [(row["input_ids"], [float(mask) for mask in row["completion_mask"]]) for row in ORACLE["sft"]["rows"]]
DPO_ROWS = pairs(DPO["rows"])


class TestSft:
    def test_the_loss_and_its_gradients_are_trls(self, model: TunableModel) -> None:
        loss = loss_at(model, SftObjective(), SFT_ROWS).loss
        assert float(loss.detach()) == pytest.approx(ORACLE["sft"]["loss"], rel=1e-6)
        assert_gradients(model, loss, ORACLE["sft"])

    def test_so_are_the_parts_of_an_accumulated_step(self, model: TunableModel) -> None:
        found = [loss_at(model, SftObjective(), SFT_ROWS, part).shares["loss"] for part in (slice(2), slice(2, None))]
        assert torch.stack(found).tolist() == pytest.approx(ORACLE["sft"]["accumulated"], rel=1e-6)

    def test_so_are_the_log_probabilities_of_each_row(self, model: TunableModel) -> None:
        assert log_probs(model, SFT_ROWS) == pytest.approx(ORACLE["sft"]["log_probs"], rel=1e-6)


class TestDpo:
    spec = DpoObjective(beta=ORACLE["dpo"]["beta"])

    def test_the_loss_and_its_gradients_are_trls(self, model: TunableModel) -> None:
        micro = loss_at(model, self.spec, DPO_ROWS, per_example=2)
        assert float(micro.shares["loss"]) == pytest.approx(DPO["loss"], rel=1e-6)
        assert float(micro.shares["reward_margin"]) == pytest.approx(DPO["reward_margin"], rel=1e-5)
        assert_gradients(model, micro.loss, DPO)

    def test_so_are_the_log_probabilities_of_both_models(self, model: TunableModel) -> None:
        def expected(prefix: str) -> list[float]:
            sides = (DPO[f"{prefix}{side}_log_probs"] for side in ("chosen", "rejected"))
            return [value for pair in zip(*sides, strict=True) for value in pair]

        assert log_probs(model, DPO_ROWS) == pytest.approx(expected(""), rel=1e-6)
        with model.reference():
            assert log_probs(model, DPO_ROWS) == pytest.approx(expected("reference_"), rel=1e-6)


class TestOrpo:
    spec = OrpoObjective(beta=ORACLE["orpo"]["beta"])

    def test_where_no_prompt_is_predicted_the_loss_and_its_gradients_are_trls(self, model: TunableModel) -> None:
        case = ORPO["one_token_prompts"]
        micro = loss_at(model, self.spec, pairs(case["rows"]), per_example=2)
        assert float(micro.shares["loss"]) == pytest.approx(case["loss"], rel=1e-6)
        assert float(micro.shares["nll"]) == pytest.approx(case["nll"], rel=1e-6)
        assert_gradients(model, micro.loss, case)

    @pytest.mark.parametrize("name", ["pairs", "one_token_prompts"])
    def test_the_odds_are_trls_and_only_the_prompts_are_left_out(self, model: TunableModel, name: str) -> None:
        case = ORPO[name]
        rows = pairs(case["rows"])
        shares = loss_at(model, self.spec, rows, per_example=2).shares
        assert float(shares["loss"] - shares["nll"]) == pytest.approx(case["odds_loss"], abs=1e-6)
        for side in ("chosen", "rejected"):
            mean = self.spec.beta * float(np.mean(case[f"{side}_mean_log_probs"]))
            assert float(shares[f"{side}_reward"]) == pytest.approx(mean, rel=1e-6)
        # what TRL adds: the supervised loss of the preferred rows with every token of theirs
        everything = [(ids, [0.0] + [1.0] * (len(ids) - 1)) for ids, _ in rows[::2]]
        assert float(loss_at(model, SftObjective(), everything).shares["loss"]) == pytest.approx(case["nll"], rel=1e-6)
