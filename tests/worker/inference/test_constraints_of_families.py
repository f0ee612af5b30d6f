"""Schemas and calls with the tokenizers and the templates of real base models; the dice say what is said."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import torch

from core.inference.types import CallShape, Constraint, DeltaLine, JsonShape, Sampling
from tests.worker.training.data import families
from worker.inference.answer import Answer
from worker.inference.constraints import Constraints
from worker.inference.sampling import Sampler
from worker.training.data.chat_format import ChatFormat

pytestmark = pytest.mark.tokenizers

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "port": {"enum": ["Ostend", "Brügge", "港"]},
        "depths": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 9}, "maxItems": 3},
        "is open": {"type": "boolean"},
        "note": {"type": "string", "maxLength": 12},
    },
    "required": ["port", "depths", "is open", "note"],
    "additionalProperties": False,
}
NUM_ANSWERS = 2
NUM_SCORES_BEYOND = 7
"""Models have more scores than their tokenizer has tokens."""


@pytest.fixture(scope="module")
def format_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ChatFormat]:
    root = tmp_path_factory.mktemp("families")
    return cache(lambda family: ChatFormat.load(Path(families.build(family, root / family))))


def constraints_of(chat_format: ChatFormat) -> Constraints:
    num_scores = chat_format._tokenizer._num_tokens + NUM_SCORES_BEYOND
    return Constraints(chat_format, num_scores=num_scores, end_ids=[chat_format.end_of_turn_id])


def said(chat_format: ChatFormat, constraints: Constraints, constraint: Constraint, *, seed: int) -> list[DeltaLine]:
    """What is said of noise, read as any answer is."""
    sampling = Sampling(temperature=1, seed=seed)
    mask = constraints.mask(constraint, may_call_several=False)
    sampler = Sampler(sampling, mask)
    answer = Answer(chat_format, sampling, tools=[call.name for call in constraint.calls], may_call_several=False)
    dice = torch.Generator().manual_seed(seed)
    pieces: list[DeltaLine | None] = []
    while not (sampler.is_complete or answer.is_over):
        scores = torch.randn(constraints._num_scores, generator=dice)
        token_id = sampler.choose(scores)
        if token_id == chat_format.end_of_turn_id:
            break
        pieces.append(answer.push(token_id, scores))
    pieces.append(answer.finish())
    return [piece for piece in pieces if piece]


@pytest.mark.parametrize("family", ["gemma-3", "mistral-v0.3"])
def test_json_by_a_schema_is_spelled_in_any_tokens(family: str, format_of: Callable[[str], ChatFormat]) -> None:
    chat_format = format_of(family)
    constraints = constraints_of(chat_format)
    shape = JsonShape(json_schema=json.dumps(SCHEMA), param="schema")
    for seed in range(NUM_ANSWERS):
        heard = said(chat_format, constraints, Constraint(shape=shape), seed=seed)
        text = "".join(piece.text for piece in heard)
        assert jsonschema_rs.is_valid(SCHEMA, json.loads(text)), text


@pytest.mark.parametrize("family", ["llama-3.2", "qwen3", "mistral-v0.3"])
def test_a_call_that_must_come_is_written_as_the_template_writes_it(
    family: str, format_of: Callable[[str], ChatFormat]
) -> None:
    chat_format = format_of(family)
    constraints = constraints_of(chat_format)
    shape = CallShape(name="find_tide", json_schema=json.dumps(SCHEMA), param="tools[0].function.parameters")
    for seed in range(NUM_ANSWERS):
        (piece,) = said(chat_format, constraints, Constraint(calls=(shape,), must_call=True), seed=seed)
        (call,) = piece.tool_calls
        assert (piece.text, call.name) == ("", "find_tide")
        assert jsonschema_rs.is_valid(SCHEMA, json.loads(call.arguments))
