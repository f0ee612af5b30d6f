"""DoRA as one step of autograd gives what PEFT's own layers give, forwards and backwards."""

from typing import Any

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from peft import LoraConfig, get_peft_model
from torch import nn

from worker.training.kernels import dora_linear

NUM_TOKENS, INPUTS, OUTPUTS, RANK = 11, 96, 64, 4


class Holder(nn.Module):
    """One linear layer, as PEFT wants to find it."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.linear(x)
        return y


def make(*, bias: bool = False, four_bits: bool = False, dropout: float = 0.0, installed: bool) -> Any:  # noqa: ANN401
    torch.manual_seed(0)
    if four_bits:
        linear: nn.Module = Linear4bit(INPUTS, OUTPUTS, bias=bias, compute_dtype=torch.float32, quant_type="nf4")
    else:
        linear = nn.Linear(INPUTS, OUTPUTS, bias=bias)
    config = LoraConfig(r=RANK, lora_alpha=8, lora_dropout=dropout, target_modules=["linear"], use_dora=True)
    model = get_peft_model(Holder(linear).to("cpu"), config).train()
    if installed:
        assert dora_linear.install(model) == 1
    return model


def learn_something(model: nn.Module) -> None:
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.3 * torch.randn_like(weight) * (weight.std() if weight.any() else 0.2))


def results(model: nn.Module) -> dict[str, torch.Tensor]:
    """The output and every gradient."""
    torch.manual_seed(2)
    x = torch.randn(2, NUM_TOKENS, INPUTS, requires_grad=True)
    y = model(x)
    (y * torch.randn_like(y)).sum().backward()
    return {"y": y.detach(), "x": x.grad} | {
        name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad
    }


@pytest.mark.parametrize("four_bits", [False, True], ids=["whole", "nf4"])
@pytest.mark.parametrize("bias", [False, True], ids=["no_bias", "bias"])
def test_it_gives_what_peft_gives(bias: bool, four_bits: bool) -> None:  # noqa: FBT001
    theirs, ours = (make(bias=bias, four_bits=four_bits, installed=installed) for installed in (False, True))
    for model in (theirs, ours):
        learn_something(model)
    expected, found = results(theirs), results(ours)
    assert expected.keys() == found.keys()
    assert len(expected) == 2 + 3
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: name + text)


def test_it_starts_as_the_base_to_the_bit_but_for_the_last_ones() -> None:
    model = make(installed=True)
    x = torch.randn(NUM_TOKENS, INPUTS)
    with torch.no_grad(), model.disable_adapter():
        expected = model(x)
    torch.testing.assert_close(model(x), expected, rtol=1e-6, atol=1e-6)


def test_disabled_and_merged_it_is_left_to_peft() -> None:
    model = make(installed=True)
    learn_something(model)
    x = torch.randn(NUM_TOKENS, INPUTS)
    expected = model(x)
    with model.disable_adapter():
        assert not torch.allclose(model(x), expected, atol=1e-3)
    model.merge_adapter()
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)


def test_dropout_drops_inputs_of_the_low_rank_part_only() -> None:
    model = make(dropout=0.5, installed=True)
    x = torch.randn(NUM_TOKENS, INPUTS)
    with torch.no_grad(), model.disable_adapter():
        base = model(x)
    torch.testing.assert_close(model(x), base, rtol=1e-6, atol=1e-6)  # B is still zero
    learn_something(model)
    means = torch.stack([model(x).detach() for _ in range(4000)]).mean(dim=0)
    model.eval()
    torch.testing.assert_close(means, model(x).detach(), rtol=0, atol=0.05)


def test_gradients_are_those_of_small_differences() -> None:
    """With lengths of the changed weights taken as constant, as the paper does."""
    model = make(installed=True)
    learn_something(model)
    found = results(model)
    layer = model.base_model.model.linear
    lengths = layer.lora_magnitude_vector["default"].weight
    step = 1e-2
    for place in (0, 17):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                lengths[place] += sign * step
            torch.manual_seed(2)
            y = model(torch.randn(2, NUM_TOKENS, INPUTS))
            values.append((y * torch.randn_like(y)).sum().item())
            with torch.no_grad():
                lengths[place] -= sign * step
        slope = (values[0] - values[1]) / (2 * step)
        [gradient] = [value for name, value in found.items() if "magnitude" in name]
        assert slope == pytest.approx(float(gradient[place]), rel=1e-2, abs=1e-3)


def test_small_changes_of_a_length_are_felt_in_bfloat16() -> None:
    """Between 1 and 1.008 bfloat16 has no number."""
    y, c = torch.linspace(1, 2, 256, dtype=torch.bfloat16)[:, None], torch.tensor([1.003])
    stretched = dora_linear._stretched(y, c)
    assert stretched.dtype == torch.bfloat16
    assert torch.equal(stretched, (y.float() * c).to(torch.bfloat16))
    assert not torch.equal(stretched, y * c.to(torch.bfloat16))
