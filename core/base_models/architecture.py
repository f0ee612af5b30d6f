"""How many weights a decoder has, and where: what memory and time are computed from.

Every model of the catalogue is built of the same block (Llama's): attention with q, k, v and o, and an MLP with gate,
up and down. Norms and biases, a thousandth of all weights, are left out.
"""

from typing import NamedTuple

from core.base_models.types import BaseModel


class Linear(NamedTuple):
    """A linear layer of one block."""

    name: str
    inputs: int
    outputs: int

    @property
    def num_weights(self) -> int:
        return self.inputs * self.outputs


def attention_linears(base: BaseModel) -> tuple[Linear, ...]:
    hidden, queries = base.hidden_size, base.num_heads * base.head_size
    keys = base.num_key_value_heads * base.head_size
    return (
        Linear("q", hidden, queries),
        Linear("k", hidden, keys),
        Linear("v", hidden, keys),
        Linear("o", queries, hidden),
    )


def mlp_linears(base: BaseModel) -> tuple[Linear, ...]:
    hidden, inner = base.hidden_size, base.intermediate_size
    return Linear("gate", hidden, inner), Linear("up", hidden, inner), Linear("down", inner, hidden)


def block_linears(base: BaseModel) -> tuple[Linear, ...]:
    return attention_linears(base) + mlp_linears(base)


def num_linear_weights(base: BaseModel) -> int:
    """Of all blocks; the output head is not one of them."""
    return base.num_layers * sum(linear.num_weights for linear in block_linears(base))


def num_head_weights(base: BaseModel) -> int:
    return base.vocab_size * base.hidden_size


def num_embedding_weights(base: BaseModel) -> int:
    """The table of embeddings and, where it is another, the output head: what is never kept in 4 bits."""
    return num_head_weights(base) * (1 if base.is_head_tied else 2)
