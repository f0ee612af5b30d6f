"""OpenAI's own client asks the real small model for a pydantic class, through api and runtime."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from openai import OpenAI
from pydantic import BaseModel

from core.base_models.service import default_base_model
from core.config import Settings
from core.stack import ports
from tests.api.chat.test_real_runtime import Runtime

pytestmark = [pytest.mark.stack, pytest.mark.model]


class Capital(BaseModel):
    city: str
    country: Literal["France", "Spain"]
    population_millions: float


@pytest.fixture(scope="module")
def runtime(bundled_model: Path) -> Iterator[Runtime]:
    port = ports.choose(["runtime"], {})["runtime"]
    home = bundled_model.parents[1]
    runtime = Runtime(
        Settings(home=home, inference_url=f"http://127.0.0.1:{port}", inference_token="a token for tests")
    )
    try:
        runtime.wait_until_ready(timeout_s=240)
        yield runtime
    finally:
        runtime.close()


@pytest.fixture
def settings(settings: Settings, runtime: Runtime) -> Settings:
    real = runtime._settings
    return settings.model_copy(update={"home": real.home, "inference_url": real.inference_url})


@pytest.fixture
def inference() -> None:
    """None is given, so the api makes its own client."""


def test_a_class_is_what_the_client_gets(ai: OpenAI) -> None:
    asked: Any = [{"role": "user", "content": "What is the capital of France? Answer as JSON with city and country."}]
    found = ai.chat.completions.parse(
        model=default_base_model().id, messages=asked, response_format=Capital, temperature=0, max_tokens=120
    )
    answer = found.choices[0].message
    assert answer.parsed is not None
    assert (answer.parsed.city, answer.parsed.country) == ("Paris", "France")
    assert found.choices[0].finish_reason == "stop"
