"""Against a plain cross-entropy over all logits: values, every gradient, and what is kept in memory."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from worker.training.kernels import token_log_probs as kernel
from worker.training.kernels.token_log_probs import token_log_probs

M, D, V = 23, 16, 61


def _problem(
    *, dtype: torch.dtype = torch.float32, has_bias: bool = False, head_learns: bool = False, scale: float = 1.0
) -> tuple[Tensor, nn.Linear, Tensor]:
    generator = torch.Generator().manual_seed(5)
    head = nn.Linear(D, V, bias=has_bias, dtype=dtype)
    with torch.no_grad():
        for weight in head.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64) * scale)
    head.requires_grad_(head_learns)
    hidden = torch.randn(M, D, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    return hidden, head, torch.randint(0, V, (M,), generator=generator)


def _plain(hidden: Tensor, head: nn.Linear, targets: Tensor, softcap: float | None) -> Tensor:
    logits = linear(hidden, head.weight, head.bias)
    logits = logits if softcap is None else softcap * torch.tanh(logits / softcap)
    return -cross_entropy(logits, targets, reduction="none")


@pytest.fixture(autouse=True)
def _few_logits_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of five targets: 23 are four whole ones and a rest."""
    monkeypatch.setattr(kernel, "_CHUNK_LOGITS", {"cpu": 5 * V})


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("has_bias", [False, True], ids=["no bias", "bias"])
@pytest.mark.parametrize("head_learns", [False, True], ids=["frozen", "learning"])
def test_values_and_gradients_are_those_of_cross_entropy(
    softcap: float | None,
    has_bias: bool,  # noqa: FBT001
    head_learns: bool,  # noqa: FBT001
) -> None:
    hidden, head, targets = _problem(dtype=torch.float64, has_bias=has_bias, head_learns=head_learns)
    upstream = torch.linspace(-1, 2, M, dtype=torch.float64)
    wanted_of = [hidden, *(weight for weight in head.parameters() if weight.requires_grad)]
    expected = _plain(hidden, head, targets, softcap)
    expected_grads = torch.autograd.grad((expected * upstream).sum(), wanted_of)
    found, is_correct = token_log_probs(hidden, head, targets, logit_softcap=softcap)
    found_grads = torch.autograd.grad((found * upstream).sum(), wanted_of)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found_grads, expected_grads, rtol=1e-11, atol=1e-12)
    assert torch.equal(is_correct, linear(hidden, head.weight, head.bias).argmax(-1) == targets)


@pytest.mark.parametrize("head_learns", [False, True], ids=["frozen", "learning"])
def test_float32_is_as_near_to_float64_as_cross_entropy_is(head_learns: bool) -> None:  # noqa: FBT001
    exact_hidden, exact_head, targets = _problem(dtype=torch.float64, head_learns=head_learns)
    exact = _plain(exact_hidden, exact_head, targets, None)
    [exact_grad] = torch.autograd.grad(exact.sum(), [exact_hidden])
    hidden, head, _ = _problem(head_learns=head_learns)
    found, _ = token_log_probs(hidden, head, targets)
    [grad] = torch.autograd.grad(found.sum(), [hidden])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=2e-6, atol=2e-6)
    torch.testing.assert_close(grad.double(), exact_grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("softcap", [None, 3.0])
@pytest.mark.parametrize("head_learns", [False, True], ids=["frozen", "learning"])
def test_gradcheck(monkeypatch: pytest.MonkeyPatch, head_learns: bool, softcap: float | None) -> None:  # noqa: FBT001
    monkeypatch.setattr(kernel, "_CHUNK_LOGITS", {"cpu": 2 * 7})
    generator = torch.Generator().manual_seed(1)
    hidden, weight, bias = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((5, 3), (7, 3), (7,))
    )
    targets = torch.tensor([0, 6, 2, 2, 5])

    def log_probs(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        head = nn.Module()
        head.weight, head.bias = weight, bias  # type: ignore[assignment]
        return token_log_probs(hidden, head, targets, logit_softcap=softcap)[0]

    inputs = (hidden.requires_grad_(), weight.requires_grad_(head_learns), bias.requires_grad_(head_learns))
    assert torch.autograd.gradcheck(log_probs, inputs)


def test_an_impossible_token_has_a_finite_log_probability() -> None:
    hidden, head, targets = _problem(scale=200.0)
    found, _ = token_log_probs(hidden, head, targets)
    assert float(found.detach().min()) < -1000  # far below the smallest float32's logarithm
    torch.testing.assert_close(found, _plain(hidden, head, targets, None), rtol=1e-5, atol=1e-4)


def test_a_certain_token_keeps_its_small_loss() -> None:
    hidden = torch.tensor([[17.0, 0.0]])
    head = nn.Linear(2, 2, bias=False)
    head.requires_grad_(False).weight.copy_(torch.eye(2))
    found, is_correct = token_log_probs(hidden, head, torch.tensor([0]))
    torch.testing.assert_close(
        found.double(), -torch.log1p(torch.exp(torch.tensor([-17.0]).double())), rtol=0, atol=1e-7
    )
    assert bool(is_correct)


@pytest.mark.parametrize("head_learns", [False, True], ids=["frozen", "learning"])
def test_bfloat16_products_are_scored_in_float32(without_onednn: None, head_learns: bool) -> None:  # noqa: FBT001
    hidden, head, targets = _problem(dtype=torch.bfloat16, head_learns=head_learns, scale=0.3)
    found, _ = token_log_probs(hidden, head, targets)
    logits = linear(hidden, head.weight).float()
    expected = -cross_entropy(logits, targets, reduction="none")
    wanted_of = [hidden, head.weight] if head_learns else [hidden]
    expected_grads = torch.autograd.grad(expected.sum(), wanted_of)
    found_grads = torch.autograd.grad(found.sum(), wanted_of)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found_grads, expected_grads, rtol=2e-2, atol=2e-2)  # 8 bits of mantissa


def _kept_bytes(log_probs: Tensor) -> int:
    function = log_probs.grad_fn
    assert function is not None
    return sum(tensor.untyped_storage().nbytes() for tensor in function.saved_tensors)  # type: ignore[attr-defined]


def test_a_frozen_head_keeps_one_vector_per_target() -> None:
    hidden, head, targets = _problem()
    found, _ = token_log_probs(hidden, head, targets)
    assert _kept_bytes(found) == M * D * 4


def test_nothing_is_kept_without_gradients() -> None:
    hidden, head, targets = _problem(head_learns=True)
    with torch.no_grad():
        found, _ = token_log_probs(hidden, head, targets)
    assert found.grad_fn is None
    torch.testing.assert_close(found, _plain(hidden, head, targets, None).detach())


def test_no_targets_are_no_log_probabilities() -> None:
    hidden, head, targets = _problem()
    found, is_correct = token_log_probs(hidden[:0], head, targets[:0])
    found.sum().backward()
    assert found.shape == is_correct.shape == (0,)
    assert hidden.grad is not None
    assert not hidden.grad.any()


def test_a_wrapped_head_is_refused() -> None:
    hidden, head, targets = _problem()
    wrapped = nn.Sequential(head)
    with pytest.raises(TypeError, match="plain linear layer, not Sequential"):
        token_log_probs(hidden, wrapped, targets)
