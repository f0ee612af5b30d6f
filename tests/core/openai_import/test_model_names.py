import pytest

from core.errors import Invalid
from core.openai_import import model_names

READY = ["llama-3.1-8b-instruct", "smollm2-135m-instruct", "qwen3-1.7b", "qwen3-14b"]


@pytest.mark.parametrize(
    ("openai_model", "suggested"),
    [
        ("gpt-4.1-nano-2025-04-14", "qwen3-1.7b"),
        ("gpt-4o-mini-2024-07-18", "llama-3.1-8b-instruct"),
        ("gpt-3.5-turbo-0125", "llama-3.1-8b-instruct"),
        ("babbage-002", "qwen3-1.7b"),
        ("gpt-4o-2024-08-06", "qwen3-14b"),
        ("ft:gpt-4.1-mini-2025-04-14:acme::abc", "llama-3.1-8b-instruct"),
    ],
)
def test_the_largest_that_the_name_promises_is_suggested(openai_model: str, suggested: str) -> None:
    assert model_names.suggest(openai_model, READY) == suggested


def test_too_large_is_better_than_none() -> None:
    assert model_names.suggest("gpt-4.1-nano-2025-04-14", ["qwen3-14b", "qwen3-32b"]) == "qwen3-14b"
    assert model_names.suggest("gpt-4.1-nano-2025-04-14", ["somebody's own"]) is None


def test_pairs_are_parsed_and_a_star_is_every_other() -> None:
    chosen = model_names.parse(["gpt-4o-2024-08-06=qwen3-14b", "* = smollm2-135m-instruct"])
    assert model_names.choose("gpt-4o-2024-08-06", chosen) == "qwen3-14b"
    assert model_names.choose("babbage-002", chosen) == "smollm2-135m-instruct"
    assert model_names.choose("babbage-002", {}) is None


@pytest.mark.parametrize("pair", ["gpt-4o", "=qwen3-14b", "gpt-4o=", "="])
def test_a_pair_without_two_sides_is_refused(pair: str) -> None:
    with pytest.raises(Invalid, match="not of the form"):
        model_names.parse([pair])


def test_two_answers_for_one_model_are_refused() -> None:
    with pytest.raises(Invalid, match="says two things of 'gpt-4o'"):
        model_names.parse(["gpt-4o=qwen3-14b", "gpt-4o=qwen3-8b"])
