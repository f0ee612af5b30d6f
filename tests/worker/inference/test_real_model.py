"""The bundled model, really loaded: the promise of the demo."""

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.inference.types import DeltaLine, DoneLine, Message, Sampling, StreamLine
from worker.inference.generation import Generation
from worker.inference.runtime import BaseRuntime, load_runtime
from worker.inference.scheduler import Scheduler

pytestmark = pytest.mark.model
QUESTION = [Message(role="user", content="What is the capital of France?").model_dump()]


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    scheduler = Scheduler()
    scheduler.start()
    yield scheduler
    scheduler.stop()


def answer(scheduler: Scheduler, runtime: BaseRuntime) -> tuple[str, StreamLine]:
    lines: queue.Queue[StreamLine] = queue.Queue()
    prompt = runtime.chat_format.render_prompt(QUESTION)
    scheduler.submit(Generation(runtime, prompt, Sampling(temperature=0, max_tokens=40), lines.put))
    text = ""
    while isinstance(line := lines.get(timeout=120), DeltaLine):
        text += line.text
    return text, line


@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_the_bundled_model_knows_the_capital_of_france(
    bundled_model: Path, scheduler: Scheduler, quantization: str | None
) -> None:
    text, done = answer(scheduler, load_runtime(bundled_model, quantization))  # type: ignore[arg-type]
    assert "Paris" in text
    assert isinstance(done, DoneLine)
    assert done.finish_reason == "stop" or quantization  # the rounded model likes to go on
