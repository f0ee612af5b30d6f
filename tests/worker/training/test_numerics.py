"""Packing, accumulation and gradients: what must be equal is equal."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from core.training.methods import LoraMethod, Method, QloraMethod
from worker.training.batches import MicroBatch
from worker.training.data.packing import epoch_order, pack
from worker.training.methods import registry
from worker.training.methods.model import Machine, TunableModel
from worker.training.objectives.objective import Totals
from worker.training.objectives.sft import Sft

METHODS: list[Method] = [LoraMethod(rank=4, alpha=8), QloraMethod(rank=4, alpha=8)]


def prepare(base_model_dir: Path, method: Method = METHODS[0]) -> TunableModel:
    torch.manual_seed(0)
    model = registry.prepare(method, base_model_dir, machine=Machine("cpu", torch.float32))
    with torch.no_grad():  # B starts at zero, which would hide half of the adapter
        for weight in model.trainable().values():
            weight.normal_(std=0.05)
    return model


def rows(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(3, 300, (length,), generator=generator) for length in lengths]


def batch_of(sequences: list[torch.Tensor]) -> MicroBatch:
    """Every token is trained but the first of each sequence, which nothing predicts."""
    return MicroBatch(
        token_ids_T=torch.cat(sequences),
        targets_T=torch.cat([one.roll(-1) for one in sequences]),
        weights_T=torch.cat([torch.tensor([1.0] * (len(one) - 1) + [0.0]) for one in sequences]),
        sequence_lengths=tuple(len(one) for one in sequences),
        num_examples=len(sequences),
    )


def loss_of(model: TunableModel, packs: list[list[torch.Tensor]], num_targets: int) -> torch.Tensor:
    total = torch.zeros(())
    for packed in packs:
        totals = Totals(weight=num_targets, preferred_weight=num_targets, num_targets=num_targets, num_examples=1)
        loss = Sft().micro_loss(model, batch_of(packed), totals).loss
        loss.backward()
        total = total + loss.detach()
    return total


@pytest.mark.parametrize("method", METHODS, ids=["lora", "qlora"])
def test_a_row_does_not_feel_its_neighbours(base_model_dir: Path, method: Method) -> None:
    model = prepare(base_model_dir, method)
    first, second, third = rows(7, 11, 5)
    with torch.no_grad():
        hidden = model.hidden(torch.cat([first, second, third]), sequence_lengths=[7, 11, 5])
        changed = model.hidden(torch.cat([first, second.flip(0), third]), sequence_lengths=[7, 11, 5])
    assert torch.equal(hidden[:7], changed[:7])
    assert torch.equal(hidden[18:], changed[18:])
    assert not torch.equal(hidden[7:18], changed[7:18])


def test_packed_rows_give_the_hidden_states_and_logits_of_rows_alone(base_model_dir: Path) -> None:
    model = prepare(base_model_dir)
    some = rows(7, 11, 5)
    with torch.no_grad():
        packed = model.hidden(torch.cat(some), sequence_lengths=[7, 11, 5])
        alone = torch.cat([model.hidden(one, sequence_lengths=[len(one)]) for one in some])
    torch.testing.assert_close(packed, alone, rtol=1e-5, atol=1e-5)


def test_an_untouched_base_predicts_as_transformers_does(base_model_dir: Path) -> None:
    model = registry.prepare(METHODS[0], base_model_dir, machine=Machine("cpu", torch.float32))
    plain = AutoModelForCausalLM.from_pretrained(base_model_dir, dtype=torch.float32)
    [ids] = rows(12)
    with torch.no_grad():
        expected = plain(input_ids=ids[None]).logits[0]
        found = model.head(model.hidden(ids, sequence_lengths=[12]))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_one_batch_of_four_and_four_of_one_give_the_same_gradient(base_model_dir: Path) -> None:
    some = rows(4, 9, 6, 13)
    targets = sum(len(one) - 1 for one in some)
    model = prepare(base_model_dir)
    together = loss_of(model, [some], targets)
    expected = {name: weight.grad.clone() for name, weight in model.trainable().items() if weight.grad is not None}
    for weight in model.trainable().values():
        weight.grad = None
    apart = loss_of(model, [[one] for one in some], targets)
    torch.testing.assert_close(together, apart)
    for name, weight in model.trainable().items():
        torch.testing.assert_close(weight.grad, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", METHODS, ids=["lora", "qlora"])
def test_only_the_adapter_learns_and_all_of_it_does(base_model_dir: Path, method: Method) -> None:
    model = prepare(base_model_dir, method)
    some = rows(8)
    loss_of(model, [some], 7)
    with_gradient = {name for name, weight in model.peft_model.named_parameters() if weight.grad is not None}
    assert with_gradient == set(model.trainable())
    assert all("lora_" in name for name in with_gradient)
    # seven linear layers in each of two blocks, two matrices each; the head is left alone
    assert len(with_gradient) == 7 * 2 * 2
    assert {weight.dtype for weight in model.trainable().values()} == {torch.float32}


def test_qlora_keeps_the_base_in_four_bits(base_model_dir: Path) -> None:
    model = prepare(base_model_dir, METHODS[1])
    layer = model.peft_model.get_base_model().get_decoder().layers[0].mlp.up_proj.base_layer
    assert type(layer).__name__ == "Linear4bit"
    assert layer.weight.quant_state.quant_type == "nf4"
    assert layer.weight.quant_state.nested
    assert type(model.head).__name__ == "Linear"


class TestPacking:
    def test_every_row_lands_in_one_bin_that_holds_it(self) -> None:
        lengths = [70, 30, 50, 50, 20, 80, 10, 90]
        bins = pack(lengths, capacity=100)
        assert sorted(index for chosen in bins for index in chosen) == list(range(len(lengths)))
        assert all(sum(lengths[index] for index in chosen) <= 100 for chosen in bins)
        assert len(bins) == 4

    def test_a_row_longer_than_a_bin_gets_its_own(self) -> None:
        assert pack([300, 10, 20], capacity=100) == [[0], [2, 1]]

    def test_an_epoch_is_a_shuffle_decided_by_seed_and_number(self) -> None:
        assert epoch_order(50, seed=1, epoch=0) == epoch_order(50, seed=1, epoch=0)
        assert epoch_order(50, seed=1, epoch=0) != epoch_order(50, seed=1, epoch=1)
        assert sorted(epoch_order(50, seed=2, epoch=0)) == list(range(50))
