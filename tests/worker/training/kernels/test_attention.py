"""Rows of a pack attend to themselves only, in every implementation, and as transformers attends to a row alone."""
# ruff: noqa: ANN401 - transformers has no types

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import MistralConfig, MistralForCausalLM

from tests.worker.training.kernels.conftest import ARCHITECTURES, SIZES, make_base
from worker.training import attention

LENGTHS = (9, 1, 23, 4)
T = sum(LENGTHS)


class _Layer(nn.Module):
    is_causal = True


def _flash_in_words(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> Tensor:
    """What torch documents `varlen_attn` to compute, by a mask over the whole pack; for processors."""
    assert torch.equal(cu_seq_q, cu_seq_k)
    assert cu_seq_q.dtype == torch.int32
    assert max_q == max_k == int(cu_seq_q.diff().max())
    assert enable_gqa == (query.shape[1] != key.shape[1])
    positions = torch.arange(len(query))
    row = torch.bucketize(positions, cu_seq_q, right=True)
    distance = positions[:, None] - positions
    before, after = window_size
    sees = (row[:, None] == row) & (distance >= -after) & ((distance <= before) | (before < 0))
    heads_first = (one.transpose(0, 1)[None] for one in (query, key, value))
    attended = scaled_dot_product_attention(*heads_first, attn_mask=sees, scale=scale, enable_gqa=enable_gqa)
    return attended[0].transpose(0, 1)


@pytest.fixture
def use_flash(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], None]]:
    """Lets float32 on the processor take the path of cards, with a stand-in for FlashAttention."""

    def use(stand_in: Any) -> None:
        monkeypatch.setattr(attention, "varlen_attn", stand_in)
        monkeypatch.setattr(attention, "_FLASH_DEVICES", ("cpu",))
        monkeypatch.setattr(attention, "_FLASH_DTYPES", (torch.float32,))

    attention._flash_agrees.cache_clear()
    yield use
    attention._flash_agrees.cache_clear()


@pytest.fixture(params=["row by row", "flash"])
def implementation(request: pytest.FixtureRequest, use_flash: Callable[[Any], None]) -> str:
    if request.param == "flash":
        use_flash(_flash_in_words)
    return str(request.param)


def _qkv() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, T, heads, 8, generator=generator).transpose(1, 2) for heads in (4, 2, 2)]


def _attend(query: Tensor, key: Tensor, value: Tensor, lengths: tuple[int, ...] = LENGTHS, **options: Any) -> Tensor:
    attended, _ = attention.packed_attention(_Layer(), query, key, value, None, sequence_lengths=lengths, **options)
    return attended


@pytest.mark.parametrize("window", [None, 6], ids=["causal", "window"])
@pytest.mark.usefixtures("implementation")
def test_a_row_does_not_feel_its_neighbours(window: int | None) -> None:
    query, key, value = _qkv()
    expected = _attend(query, key, value, sliding_window=window)
    start, stop = LENGTHS[0] + LENGTHS[1], T - LENGTHS[3]
    for changed in (query, key, value):
        changed[:, :, start:stop] += 5
    found = _attend(query, key, value, sliding_window=window)
    assert torch.equal(found[:, :start], expected[:, :start])
    assert torch.equal(found[:, stop:], expected[:, stop:])
    assert not torch.equal(found[:, start:stop], expected[:, start:stop])


@pytest.mark.parametrize("window", [None, 6], ids=["causal", "window"])
@pytest.mark.usefixtures("implementation")
def test_a_rows_loss_sends_no_gradient_to_its_neighbours(window: int | None) -> None:
    inputs = [one.requires_grad_() for one in _qkv()]
    start, stop = LENGTHS[0] + LENGTHS[1], T - LENGTHS[3]
    loss = _attend(*inputs, sliding_window=window)[:, start:stop].square().sum()
    for gradient in torch.autograd.grad(loss, inputs):
        assert not gradient[:, :, :start].any()
        assert not gradient[:, :, stop:].any()
        assert gradient[:, :, start:stop].any()


@pytest.mark.usefixtures("implementation")
def test_the_scale_is_the_models() -> None:
    query, key, value = _qkv()
    torch.testing.assert_close(_attend(query, key, value, scaling=0.5), _attend(query * 0.5 * 8**0.5, key, value))


@pytest.mark.parametrize("window", [1, 5, 6, 23, 40])
@pytest.mark.parametrize("block", [4, 128])
def test_a_window_is_a_band_of_the_mask(monkeypatch: pytest.MonkeyPatch, window: int, block: int) -> None:
    monkeypatch.setattr(attention, "_BLOCK", block)
    query, key, value = (one[:, :, :23] for one in _qkv())
    distance = torch.arange(23)[:, None] - torch.arange(23)
    band = (distance >= 0) & (distance < window)
    expected = scaled_dot_product_attention(query, key, value, attn_mask=band, enable_gqa=True).transpose(1, 2)
    torch.testing.assert_close(_attend(query, key, value, (23,), sliding_window=window), expected)


def _hidden(model: Any, ids: Tensor, lengths: tuple[int, ...]) -> Tensor:
    positions = torch.cat([torch.arange(length) for length in lengths])
    output = model.model(input_ids=ids[None], position_ids=positions[None], use_cache=False, sequence_lengths=lengths)
    return output.last_hidden_state[0]


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.usefixtures("implementation")
def test_packed_rows_are_those_that_transformers_computes_alone(name: str) -> None:
    """Gemma's sliding layers see 6 tokens, so most rows are longer."""
    plain, packed = make_base(name), make_base(name, packed=True)
    ids = torch.randint(0, 97, (T,), generator=torch.Generator().manual_seed(2))
    upstream = torch.randn(T, 64, generator=torch.Generator().manual_seed(3))
    alone = torch.cat([plain.model(row[None], use_cache=False).last_hidden_state[0] for row in ids.split(LENGTHS)])
    together = _hidden(packed, ids, LENGTHS)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
    (alone * upstream).sum().backward()
    (together * upstream).sum().backward()
    for (weight, one), (_, other) in zip(plain.model.named_parameters(), packed.model.named_parameters(), strict=True):
        torch.testing.assert_close(
            other.grad, one.grad, rtol=1e-3, atol=1e-3, msg=lambda text, name=weight: name + text
        )


def test_mistrals_window_is_kept() -> None:
    def make(implementation: str) -> Any:
        torch.manual_seed(0)
        return MistralForCausalLM(MistralConfig(**(SIZES | {"attn_implementation": implementation}), sliding_window=7))

    ids = torch.randint(0, 97, (23,), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = make("sdpa").model(ids[None], use_cache=False).last_hidden_state[0]
        found = _hidden(make(attention.register()), ids, (23,))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_what_is_not_computed_is_refused() -> None:
    query, key, value = _qkv()
    bidirectional = _Layer()
    bidirectional.is_causal = False
    with pytest.raises(NotImplementedError, match="causal attention without a cap"):
        _attend(query, key, value, softcap=50.0)
    with pytest.raises(NotImplementedError, match="sinks"):
        _attend(query, key, value, s_aux=torch.zeros(4))
    with pytest.raises(NotImplementedError, match="mask of its own"):
        attention.packed_attention(_Layer(), query, key, value, torch.ones(T, T), sequence_lengths=LENGTHS)
    with pytest.raises(NotImplementedError, match="causal"):
        attention.packed_attention(bidirectional, query, key, value, None, sequence_lengths=LENGTHS)


def _blind_to_borders(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
    heads_first = (one.transpose(0, 1)[None] for one in (query, key, value))
    return scaled_dot_product_attention(*heads_first, is_causal=True, enable_gqa=True)[0].transpose(0, 1)


def _missing(*_: Any, **__: Any) -> Tensor:
    raise RuntimeError("no kernel for this card")


@pytest.mark.parametrize(
    ("stand_in", "why"), [(_blind_to_borders, "gives other numbers"), (_missing, "no kernel for this card")]
)
def test_a_flash_attention_that_fails_its_probe_is_not_used(
    stand_in: Any, why: str, use_flash: Callable[[Any], None], caplog: pytest.LogCaptureFixture
) -> None:
    query, key, value = _qkv()
    expected = _attend(query, key, value)
    use_flash(stand_in)
    torch.testing.assert_close(_attend(query, key, value), expected, rtol=0, atol=0)
    assert why in caplog.text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a card")
@pytest.mark.parametrize("window", [None, 6], ids=["causal", "window"])
def test_flash_attention_of_this_card_keeps_rows_apart(window: int | None) -> None:
    query, key, value = (one.to("cuda", torch.bfloat16).repeat(1, 1, 1, 8) for one in _qkv())
    assert attention._can_use_flash(query, key, window)
    expected = _attend(query, key, value, sliding_window=window)
    value[:, :, : LENGTHS[0]] += 5
    found = _attend(query, key, value, sliding_window=window)
    assert torch.equal(found[:, LENGTHS[0] :], expected[:, LENGTHS[0] :])
