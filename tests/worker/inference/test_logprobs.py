"""Log probabilities are those of a plain forward pass, and stand beside exactly the text that is sent."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from core.inference.types import DeltaLine, Sampling, TokenLogprob
from tests.worker.inference.test_scheduler import PROMPTS, Answer, drive, drive_together
from worker.inference.adapter_weights import AdapterWeights
from worker.inference.logprobs import LogprobStream
from worker.inference.runtime import BaseRuntime
from worker.inference.scheduler import Lane

ASKED = Sampling(temperature=0, max_tokens=12, top_logprobs=5)


def told(answer: Answer) -> tuple[str, list[TokenLogprob]]:
    text, entries = "", []
    while isinstance(line := answer.next_line(), DeltaLine):
        text += line.text
        entries += line.logprobs
    return text, entries


def spelled(entries: Sequence[TokenLogprob]) -> str:
    return b"".join(bytes(entry.bytes or ()) for entry in entries).decode(errors="replace")


def answered(runtime: BaseRuntime, prompt: Sequence[int], sampling: Sampling) -> tuple[str, list[TokenLogprob]]:
    answer = Answer(runtime, prompt, sampling=sampling)
    run(runtime, [answer])
    return told(answer)


def run(runtime: BaseRuntime, answers: Sequence[Answer]) -> None:
    lane = Lane(runtime)
    lane.waiting.extend(answer.generation for answer in answers)
    drive(lane)


@pytest.fixture
def endless(runtime: BaseRuntime, monkeypatch: pytest.MonkeyPatch) -> BaseRuntime:
    monkeypatch.setattr(runtime, "end_ids", frozenset())
    return runtime


def plain(base_folder: Path, prompt: Sequence[int], num_tokens: int) -> list[torch.Tensor]:
    """log_softmax of the scores of each greedily chosen token, by transformers, without a cache."""
    model = LlamaForCausalLM.from_pretrained(base_folder).eval()
    ids, found = list(prompt), []
    for _ in range(num_tokens):
        with torch.no_grad():
            scores = model(input_ids=torch.tensor([ids])).logits[0, -1]
        found.append(torch.log_softmax(scores, dim=-1))
        ids.append(int(scores.argmax()))
    return found


@pytest.mark.parametrize("prompt", PROMPTS[:2], ids=["short", "longer"])
def test_they_are_the_log_softmax_of_a_plain_forward_pass(
    endless: BaseRuntime, base_folder: Path, prompt: list[int]
) -> None:
    _, entries = answered(endless, prompt, ASKED)
    expected = plain(base_folder, prompt, 12)
    # special tokens are no part of the text, and the random model likes some
    kept = [row for row in expected if endless.chat_format.bytes_of(int(row.argmax())) is not None]
    assert len(entries) == len(kept) > 5
    for entry, row in zip(entries, kept, strict=True):
        values, ids = row.topk(5)
        assert entry.logprob == pytest.approx(float(row.max()), abs=1e-4)
        assert [top.logprob for top in entry.top_logprobs] == pytest.approx(values.tolist(), abs=1e-4)
        names = [endless.chat_format.bytes_of(token_id) for token_id in ids.tolist()]
        assert [None if top.bytes is None else bytes(top.bytes) for top in entry.top_logprobs] == names


def test_neither_temperature_nor_penalties_nor_biases_change_what_the_model_thought(
    endless: BaseRuntime,
) -> None:
    (_, first), (_, second) = (
        answered(endless, PROMPTS[0], sampling.model_copy(update={"max_tokens": 1, "top_logprobs": 20}))
        for sampling in (
            ASKED,
            Sampling(temperature=1.7, seed=4, presence_penalty=2, logit_bias={70: 100}),
        )
    )
    assert second[0].token != first[0].token
    assert second[0].top_logprobs == first[0].top_logprobs
    # the bias chose it; the model found it unlikely
    assert second[0].logprob < first[0].logprob


def test_bytes_put_together_are_the_text(endless: BaseRuntime) -> None:
    """A random model writes bytes that are no character; then the text has a sign for them, and the bytes tell."""
    for seed in range(12):
        text, entries = answered(
            endless, PROMPTS[1], Sampling(temperature=1.3, seed=seed, max_tokens=30, top_logprobs=0)
        )
        assert spelled(entries) == text
        assert all(entry.top_logprobs == () for entry in entries)


def test_they_cover_the_text_before_a_stop_and_nothing_after_it(endless: BaseRuntime) -> None:
    text, entries = answered(endless, PROMPTS[0], ASKED)
    stop = text[5:7]
    stopped, told_of = answered(endless, PROMPTS[0], ASKED.model_copy(update={"stop": (stop,)}))
    assert stopped == text[: text.find(stop)]
    # a token that reaches over the place of the stop is told whole
    assert spelled(told_of).startswith(stopped)
    assert len(spelled(told_of[:-1])) < len(stopped)
    assert told_of == entries[: len(told_of)]


def test_in_a_batch_they_equal_those_alone(endless: BaseRuntime, adapters: dict[str, AdapterWeights]) -> None:
    samplings = [ASKED, Sampling(temperature=0, max_tokens=9), ASKED.model_copy(update={"frequency_penalty": 1.0})]

    def make() -> list[Answer]:
        return [Answer(endless, PROMPTS[at], adapters["red"], sampling) for at, sampling in enumerate(samplings)]

    alone = []
    for answer in make():
        run(endless, [answer])
        alone.append(told(answer))
    together = make()
    run(endless, together)
    for answer, (text, entries) in zip(together, alone, strict=True):
        found, told_of = told(answer)
        assert found == text
        assert [entry.token for entry in told_of] == [entry.token for entry in entries]
        assert [entry.logprob for entry in told_of] == pytest.approx([entry.logprob for entry in entries], abs=1e-4)
    assert alone[1][1] == []


def test_what_is_impossible_is_written_as_the_wire_writes_it(runtime: BaseRuntime) -> None:
    stream = LogprobStream(runtime.chat_format, 2)
    scores = torch.full((304,), -20000.0)
    scores[70] = 0
    stream.push(71, scores, begin=0)
    (entry,) = stream.take(first=0, end=1)
    assert entry.logprob == -9999.0
    assert entry.top_logprobs[0].logprob == pytest.approx(0)


def test_penalties_of_one_leave_the_others_of_a_batch_as_they_are(endless: BaseRuntime) -> None:
    samplings = [
        # it likes this token ever less
        Sampling(temperature=0, max_tokens=15, frequency_penalty=2, presence_penalty=2, logit_bias={65: 20}),
        Sampling(temperature=0, max_tokens=15),
        Sampling(temperature=0, max_tokens=15, logit_bias={65: 100}),
        Sampling(temperature=1, seed=3, max_tokens=15, presence_penalty=-2),
    ]

    def make() -> list[Answer]:
        return [Answer(endless, PROMPTS[0], sampling=sampling) for sampling in samplings]

    alone = [text for answer in make() for text in drive_together(endless, [answer])]
    assert drive_together(endless, make()) == alone
    assert len(set(alone)) == 4
