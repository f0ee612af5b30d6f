"""Where adapters lie, what the base computes without them, and how rows are packed. More in `methods/`."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from core.training.methods import LoraMethod, Method, QloraMethod
from worker.training.data.packing import epoch_order, pack
from worker.training.methods import registry
from worker.training.methods.model import Machine, TunableModel


def prepare(base_model_dir: Path, method: Method) -> TunableModel:
    torch.manual_seed(0)
    return registry.prepare(method, base_model_dir, machine=Machine("cpu", torch.float32))


def test_an_untouched_base_predicts_as_transformers_does(base_model_dir: Path) -> None:
    model = prepare(base_model_dir, LoraMethod(rank=4, alpha=8))
    plain = AutoModelForCausalLM.from_pretrained(base_model_dir, dtype=torch.float32)
    ids = torch.randint(3, 300, (12,), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = plain(input_ids=ids[None]).logits[0]
        found = model.head(model.hidden(ids, sequence_lengths=[12]))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_an_adapter_lies_beside_every_linear_layer_but_the_head(base_model_dir: Path) -> None:
    names = prepare(base_model_dir, LoraMethod(rank=4)).trainable()
    # seven linear layers in each of two blocks, two matrices each
    assert len(names) == 7 * 2 * 2
    assert all("lora_" in name and "lm_head" not in name for name in names)


def test_qlora_keeps_the_base_in_four_bits(base_model_dir: Path) -> None:
    model = prepare(base_model_dir, QloraMethod(rank=4, alpha=8))
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
