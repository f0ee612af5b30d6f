import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch

from core.errors import RateLimited
from core.inference.types import DeltaLine, DoneLine, ErrorLine, Sampling, StreamLine
from worker.inference.adapter_weights import AdapterWeights, LoraPair
from worker.inference.generation import Generation
from worker.inference.probe import Probe
from worker.inference.runtime import BaseRuntime
from worker.inference.scheduler import Lane, Scheduler

DEADLINE_S = 30
GREEDY = Sampling(temperature=0, max_tokens=20)
PROMPTS = [[1, 40, 41, 42], [1, 90, 33, 7, 8, 9, 120, 50], list(range(3, 290)) * 2, [1, 5]]


class Answer:
    """A generation whose lines wait in a queue."""

    def __init__(
        self,
        runtime: BaseRuntime,
        prompt: Sequence[int],
        adapter: AdapterWeights | None = None,
        sampling: Sampling = GREEDY,
        workspace_id: str = "",
    ) -> None:
        self._lines: queue.Queue[StreamLine] = queue.Queue()
        self.generation = Generation(runtime, prompt, sampling, self._lines.put, adapter, workspace_id=workspace_id)

    def next_line(self) -> StreamLine:
        return self._lines.get(timeout=DEADLINE_S)

    def finish(self) -> tuple[str, StreamLine]:
        text = ""
        while isinstance(line := self.next_line(), DeltaLine):
            text += line.text
        return text, line


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    scheduler = Scheduler(max_active=4, max_waiting=3)
    scheduler.start()
    yield scheduler
    scheduler.stop()


@pytest.fixture
def endless(runtime: BaseRuntime) -> Iterator[BaseRuntime]:
    """The runtime with no token that ends an answer, so that length is up to the test."""
    ends, runtime.end_ids = runtime.end_ids, frozenset()
    yield runtime
    runtime.end_ids = ends


def test_answers_made_together_equal_answers_made_alone(
    scheduler: Scheduler, endless: BaseRuntime, adapters: dict[str, AdapterWeights]
) -> None:
    chosen = [adapters["red"], adapters["blue"], None, adapters["red"]]
    alone = []
    for prompt, adapter in zip(PROMPTS, chosen, strict=True):
        answer = Answer(endless, prompt, adapter)
        scheduler.submit(answer.generation)
        alone.append(answer.finish())
    together = [Answer(endless, prompt, adapter) for prompt, adapter in zip(PROMPTS, chosen, strict=True)]
    for answer in together[:3]:  # the queue holds three; the first moves on at once
        scheduler.submit(answer.generation)
    together[0].next_line()
    scheduler.submit(together[3].generation)
    texts = [answer.finish()[0] for answer in together]
    assert texts[1:] == [text for text, _ in alone[1:]]
    assert alone[0][0].endswith(texts[0])
    assert len({text for text, _ in alone}) == 4
    assert all(isinstance(done, DoneLine) and done.usage.completion_tokens == 20 for _, done in alone)


def drive(lane: Lane) -> None:
    """Turns by hand, without the thread."""
    while lane.has_work:
        lane.drop_cancelled()
        if lane.reading is None and lane.waiting:
            lane.reading = lane.waiting.popleft()
        lane.read_prompt()
        lane.decode()


def drive_together(runtime: BaseRuntime, answers: Sequence[Answer]) -> list[str]:
    lane = Lane(runtime)
    lane.waiting.extend(answer.generation for answer in answers)
    drive(lane)
    return [answer.finish()[0] for answer in answers]


def test_rows_stay_right_when_others_come_and_go(endless: BaseRuntime, adapters: dict[str, AdapterWeights]) -> None:
    """Different lengths end in different turns, so rows move."""
    lengths, chosen = [3, 17, 6, 11], [adapters["blue"], None, adapters["violet"], adapters["green"]]

    def make() -> list[Answer]:
        return [
            Answer(endless, prompt, adapter, GREEDY.model_copy(update={"max_tokens": length}))
            for prompt, adapter, length in zip(PROMPTS, chosen, lengths, strict=True)
        ]

    alone = [text for answer in make() for text in drive_together(endless, [answer])]
    assert drive_together(endless, make()) == alone


def test_a_half_read_prompt_moves_with_the_learned_vectors_before_it(
    endless: BaseRuntime, adapters: dict[str, AdapterWeights], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.inference.scheduler._PREFILL_TOKENS", 2)

    def make() -> list[Answer]:
        short = GREEDY.model_copy(update={"max_tokens": 3})
        return [Answer(endless, PROMPTS[3], None, short), Answer(endless, PROMPTS[0] * 2, adapters["violet"])]

    alone = [text for answer in make() for text in drive_together(endless, [answer])]
    assert drive_together(endless, make()) == alone


def test_a_full_queue_turns_people_away(endless: BaseRuntime) -> None:
    stopped = Scheduler(max_waiting=2)  # not started: nothing leaves the queue
    for _ in range(2):
        stopped.submit(Answer(endless, PROMPTS[0]).generation)
    with pytest.raises(RateLimited) as refused:
        stopped.submit(Answer(endless, PROMPTS[0]).generation)
    assert refused.value.error_code == "inference_queue_full"
    assert refused.value.details["retry_after_s"] > 0


def test_who_hung_up_while_waiting_makes_room(endless: BaseRuntime) -> None:
    stopped = Scheduler(max_waiting=1)
    first = Answer(endless, PROMPTS[0])
    stopped.submit(first.generation)
    first.generation.cancel()
    stopped.submit(Answer(endless, PROMPTS[0]).generation)
    assert stopped.num_waiting == 1


def test_one_workspace_cannot_take_all_places(endless: BaseRuntime) -> None:
    stopped = Scheduler(max_waiting=5, max_per_workspace=2)
    greedy = [Answer(endless, PROMPTS[0], workspace_id="ws_greedy") for _ in range(3)]
    for answer in greedy[:2]:
        stopped.submit(answer.generation)
    with pytest.raises(RateLimited) as refused:
        stopped.submit(greedy[2].generation)
    assert refused.value.error_code == "too_many_chats"
    assert refused.value.details["retry_after_s"] > 0
    stopped.submit(Answer(endless, PROMPTS[0], workspace_id="ws_other").generation)
    greedy[0].generation.cancel()
    stopped.submit(greedy[2].generation)


def test_a_proof_takes_the_places_of_no_workspace(endless: BaseRuntime) -> None:
    stopped = Scheduler(max_waiting=5, max_per_workspace=1)
    for _ in range(3):
        stopped.submit(Probe(endless, PROMPTS[0], 2, None))
    stopped.submit(Answer(endless, PROMPTS[0], workspace_id="ws_other").generation)
    assert stopped.num_waiting == 4


def test_places_go_to_the_workspace_that_has_the_fewest(endless: BaseRuntime) -> None:
    lane = Lane(endless)
    asked = ["a", "a", "a", "b", "b", "c"]
    lane.waiting.extend(Answer(endless, PROMPTS[0], workspace_id=name).generation for name in asked)
    order = []
    while lane.waiting:
        chosen = lane.next_waiting()
        order.append(chosen.workspace_id)
        lane.ready.append(chosen)
    assert order == ["a", "b", "c", "a", "b", "a"]


def test_a_cancelled_answer_leaves_and_the_others_go_on(scheduler: Scheduler, endless: BaseRuntime) -> None:
    long = Answer(endless, PROMPTS[0], sampling=Sampling(temperature=1, max_tokens=1000, seed=1))
    scheduler.submit(long.generation)
    assert isinstance(long.next_line(), DeltaLine)
    other = Answer(endless, PROMPTS[1])
    scheduler.submit(other.generation)
    long.generation.cancel()
    assert isinstance(other.finish()[1], DoneLine)
    deadline = time.monotonic() + DEADLINE_S
    while scheduler.num_active:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    assert long.generation.num_cached < 1000


def test_stopping_tells_those_who_wait(endless: BaseRuntime) -> None:
    scheduler = Scheduler()
    scheduler.start()
    answer = Answer(endless, PROMPTS[0], sampling=Sampling(temperature=1, max_tokens=1000, seed=1))
    scheduler.submit(answer.generation)
    answer.next_line()
    scheduler.stop()
    _, last = answer.finish()
    assert isinstance(last, ErrorLine)
    assert last.category == "unavailable"


def test_an_adapter_that_overflows_fails_its_own_answer_only(
    scheduler: Scheduler, endless: BaseRuntime, adapters: dict[str, AdapterWeights]
) -> None:
    red = adapters["red"]
    huge = {name: LoraPair(pair.down, torch.full_like(pair.up, 3e38)) for name, pair in red.pairs.items()}
    broken = Answer(endless, PROMPTS[0], replace(red, pairs=huge))
    healthy = Answer(endless, PROMPTS[1], red)
    scheduler.submit(broken.generation)
    scheduler.submit(healthy.generation)
    _, error = broken.finish()
    assert isinstance(error, ErrorLine)
    assert error.code == "model_not_finite"
    text, done = healthy.finish()
    assert isinstance(done, DoneLine)
    again = Answer(endless, PROMPTS[1], red)
    scheduler.submit(again.generation)
    assert again.finish()[0] == text


def test_a_crash_in_a_turn_is_told_and_the_next_answer_works(
    scheduler: Scheduler, endless: BaseRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(endless, "prefill", lambda *_: 1 / 0)
        broken = Answer(endless, PROMPTS[0])
        scheduler.submit(broken.generation)
        _, error = broken.finish()
    assert isinstance(error, ErrorLine)
    assert error.category == "internal"
    fine = Answer(endless, PROMPTS[0])
    scheduler.submit(fine.generation)
    assert isinstance(fine.finish()[1], DoneLine)


def test_an_end_token_ends_the_answer_and_is_not_shown(scheduler: Scheduler, endless: BaseRuntime) -> None:
    first = Answer(endless, PROMPTS[0])
    scheduler.submit(first.generation)
    first.finish()
    last_token = first.generation._token_ids[-1]
    endless.end_ids = frozenset({last_token})
    second = Answer(endless, PROMPTS[0])
    scheduler.submit(second.generation)
    _, done = second.finish()
    assert isinstance(done, DoneLine)
    assert done.finish_reason == "stop"
    assert done.usage.completion_tokens <= 20


def test_the_context_bounds_the_answer(scheduler: Scheduler, endless: BaseRuntime) -> None:
    prompt = [3 + index % 290 for index in range(endless.context_tokens - 5)]
    answer = Answer(endless, prompt, sampling=Sampling(temperature=0, max_tokens=1000))
    scheduler.submit(answer.generation)
    _, done = answer.finish()
    assert isinstance(done, DoneLine)
    assert (done.finish_reason, done.usage.completion_tokens) == ("length", 5)


def test_an_answer_says_how_long_it_waited_for_others(endless: BaseRuntime) -> None:
    lane = Lane(endless)
    first, second = Answer(endless, PROMPTS[0]), Answer(endless, PROMPTS[1])
    lane.waiting.append(first.generation)
    drive(lane)  # the second was asked for and is not let in meanwhile
    lane.waiting.append(second.generation)
    drive(lane)
    waits = []
    for answer in (first, second):
        done = answer.finish()[1]
        assert isinstance(done, DoneLine)
        assert done.usage.waiting_s is not None
        waits.append(done.usage.waiting_s)
    assert waits[1] > waits[0]
    assert waits[1] > first.generation._delivery.seconds
