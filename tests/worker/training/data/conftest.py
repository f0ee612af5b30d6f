"""Real chat formats, each read once for all tests; `family` is the name of one that can be parametrized."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from tests.worker.training.data import families
from worker.training.data.chat_format import ChatFormat

FAMILIES = [
    *(
        pytest.param(name, marks=pytest.mark.tokenizers)
        for name in ("llama-3.1", "llama-3.2", "qwen2.5", "qwen3", "gemma-3", "mistral-v0.3")
    ),
    pytest.param("smollm2", marks=pytest.mark.model),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "family" in metafunc.fixturenames and not any(
        "family" in str(marker.args[0]) for marker in metafunc.definition.iter_markers("parametrize")
    ):
        metafunc.parametrize("family", FAMILIES)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("families")

    @cache
    def folder(family: str) -> Path:
        if family == "smollm2":
            return request.getfixturevalue("bundled_model")
        return families.build(family, root / family)

    return folder


@pytest.fixture(scope="session")
def format_of(folder_of: Callable[[str], Path]) -> Callable[[str], ChatFormat]:
    return cache(lambda family: ChatFormat.load(folder_of(family)))


@pytest.fixture(scope="session")
def oracle_of(folder_of: Callable[[str], Path]) -> Callable[[str], PreTrainedTokenizerFast]:
    """What transformers makes of the same folder."""
    return cache(lambda family: PreTrainedTokenizerFast.from_pretrained(folder_of(family)))


@pytest.fixture
def chat_format(family: str, format_of: Callable[[str], ChatFormat]) -> ChatFormat:
    return format_of(family)
