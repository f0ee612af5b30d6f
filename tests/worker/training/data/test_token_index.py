"""The index of a file of rows: the same whoever makes it, whole or not there at all, and nothing lost on the way."""

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from core.datasets.types import RowKind
from tests.worker.training.conftest import WORDS, row, write_rows
from worker.training.data import token_index
from worker.training.data.chat_format import ChatFormat
from worker.training.data.token_index import TokenIndex, fingerprint

Build = Callable[..., TokenIndex]
LONG = "alpha beta " * 60
# builds an index with two processes, and stands still as soon as they have done something
ENDLESS = """
import sys, time
from pathlib import Path
from core.datasets.types import RowKind
from worker.training.data import token_index

def stand_still(_):
    print("begun", flush=True)
    time.sleep(600)

if __name__ == "__main__":
    token_index.build(
        Path("rows.jsonl"), Path("index"), kind=RowKind.CHAT, model_dir=Path(sys.argv[1]), max_length=64,
        num_workers=2, on_progress=stand_still)
"""


@pytest.fixture(scope="module")
def tiny_format(base_model_dir: Path) -> ChatFormat:
    return ChatFormat.load(base_model_dir)


@pytest.fixture
def build(tmp_path: Path, base_model_dir: Path) -> Build:
    """The index of some rows, in a folder of the given name."""

    def build(
        rows: Sequence[dict[str, Any]], name: str = "index", *, kind: RowKind = RowKind.CHAT, **choices: object
    ) -> TokenIndex:
        path = tmp_path / f"{name}.jsonl"
        write_rows(path, list(rows))
        values: dict[str, Any] = {"kind": kind, "model_dir": base_model_dir, "max_length": 128}
        return token_index.build(path, tmp_path / name, **(values | choices))

    return build


def refused(number: int, *, code: str = "unknown_role") -> dict[str, Any]:
    """A row that the tiny base's chat format has no place for."""
    if code == "tools_unsupported":
        return row(number) | {"tools": [{"type": "function", "function": {"name": "f"}}]}
    return {"number": number, "messages": [{"role": "oracle", "content": "?"}, {"role": "assistant", "content": "!"}]}


def preference(number: int, **changes: object) -> dict[str, Any]:
    question, answer = row(number)["messages"]
    other = {"role": "assistant", "content": WORDS[number % 3]}
    return {"number": number, "messages": [question], "chosen": [answer], "rejected": [other]} | changes


def trained_text(chat_format: ChatFormat, index: TokenIndex, sequence: int) -> str:
    ids, weights = index.tokens(sequence), index.sequence_weights(sequence)
    return chat_format.decode([int(token) for token, weight in zip(ids, weights, strict=True) if weight])


class TestConversations:
    def test_examples_are_the_rows_in_their_order(self, build: Build, tiny_format: ChatFormat) -> None:
        rows = [row(number) for number in range(5)]
        index = build(rows)
        assert (index.num_examples, index.num_sequences, index.sequences_per_example) == (5, 5, 1)
        for number, one in enumerate(rows):
            chat = tiny_format.tokenize(one["messages"])
            assert index.tokens(number).tolist() == chat.token_ids
            assert index.sequence_weights(number).tolist() == chat.weights
            assert index.example_weights(number).tolist() == chat.weights
            assert index.length(number) == len(chat.token_ids)

    def test_weights_of_messages_become_weights_of_tokens(self, build: Build, tiny_format: ChatFormat) -> None:
        one = row(0)
        one["messages"][1]["weight"] = 0.25
        index = build([one])
        assert set(index.weights.tolist()) == {0.0, 0.25}
        assert index.weights[0] == 0  # nothing predicts the first
        assert trained_text(tiny_format, index, 0) == one["messages"][1]["content"]

    def test_long_rows_are_cut_and_those_that_lose_every_answer_are_dropped(self, build: Build) -> None:
        asks_long = row(3) | {"messages": [{"role": "user", "content": LONG}, {"role": "assistant", "content": "eta"}]}
        unweighted = row(4)
        unweighted["messages"][1]["weight"] = 0
        index = build([row(0), row(1, answer=LONG), row(2), asks_long, unweighted], max_length=64)
        assert (index.num_cut_rows, index.num_dropped_rows, index.num_examples) == (2, 2, 3)
        assert [index.length(number) for number in range(3)][1] == 64
        assert all(index.example_weights(number).any() for number in range(3))

    def test_only_so_many_rows_are_read(self, build: Build) -> None:
        index = build([row(number) for number in range(9)], max_rows=4)
        assert index.num_examples == 4

    @pytest.mark.parametrize("kind", list(RowKind))
    def test_an_empty_file_is_an_index_without_examples(self, build: Build, kind: RowKind) -> None:
        index = build([], kind=kind)
        assert (index.num_examples, index.num_sequences, index.num_dropped_rows) == (0, 0, 0)
        assert len(fingerprint(index)) == 64

    def test_rows_that_are_refused_are_left_out_and_the_first_is_named(self, build: Build) -> None:
        bad = [refused(17), row(1), refused(3, code="tools_unsupported")]
        index = build([row(0), *bad, row(2)])
        assert (index.num_rows, index.num_examples, index.num_refused_rows) == (5, 3, 2)
        assert (index.num_cut_rows, index.num_dropped_rows) == (0, 0)
        assert index.first_refusal is not None
        assert (index.first_refusal.row, index.first_refusal.code) == (17, "unknown_role")
        assert "'oracle' is not known" in index.first_refusal.reason
        # to the bit the index of the others alone
        assert fingerprint(index) == fingerprint(build([row(0), row(1), row(2)], "others"))

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            ("half \ud800 a character", "half_a_character"),
            ("".join(map(chr, range(0xE000, 0xF900))) + "<|im_end|>", "conversation_refused"),
        ],
        ids=["half_a_surrogate_pair", "every_private_character"],
    )
    def test_what_no_tokenizer_reads_is_refused_and_ends_nothing(self, build: Build, content: str, code: str) -> None:
        odd = {"number": 1, "messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "eta"}]}
        index = build([row(0), odd, row(2)])
        assert (index.num_rows, index.num_examples, index.num_refused_rows) == (3, 2, 1)
        assert index.first_refusal is not None
        assert index.first_refusal.code == code

    def test_what_weighs_next_to_nothing_weighs_nothing(self, build: Build) -> None:
        """The sum of such weights, and what is divided by it, would be no number in float32."""
        rows = [row(number) for number in range(3)]
        for one, weight in zip(rows, (1e-40, 1e-7, 1e-6), strict=True):
            one["messages"][1]["weight"] = weight
        index = build(rows)
        assert (index.num_examples, index.num_dropped_rows) == (1, 2)


class TestPreferences:
    def test_an_example_is_the_preferred_answer_and_then_the_other(self, build: Build, tiny_format: ChatFormat) -> None:
        rows = [preference(number) for number in range(4)]
        index = build(rows, kind=RowKind.PREFERENCE)
        assert (index.num_examples, index.num_sequences, index.sequences_per_example) == (4, 8, 2)
        for number, one in enumerate(rows):
            assert list(index.sequences(number)) == [2 * number, 2 * number + 1]
            for sequence, side in zip(index.sequences(number), ("chosen", "rejected"), strict=True):
                chat = tiny_format.tokenize([*one["messages"], *one[side]])
                assert index.tokens(sequence).tolist() == chat.token_ids
                assert trained_text(tiny_format, index, sequence) == one[side][0]["content"]
            assert index.length(number) == sum(len(index.tokens(one)) for one in index.sequences(number))

    def test_nothing_of_the_prompt_is_trained_not_even_what_the_assistant_said(
        self, build: Build, tiny_format: ChatFormat
    ) -> None:
        said = [*row(1)["messages"], {"role": "user", "content": "delta"}]
        index = build([preference(0, messages=said)], kind=RowKind.PREFERENCE)
        prompt = tiny_format.render_prompt(said)
        for sequence in index.sequences(0):
            assert index.tokens(sequence)[: len(prompt)].tolist() == prompt
            assert not index.sequence_weights(sequence)[: len(prompt)].any()
            assert index.sequence_weights(sequence)[len(prompt) :].any()

    def test_a_pair_that_loses_one_of_its_answers_is_dropped_whole(self, build: Build) -> None:
        mute = {"role": "assistant", "content": "eta", "weight": 0}
        long = {"role": "assistant", "content": LONG}
        rows = [preference(0), preference(1, rejected=[mute]), preference(2, rejected=[long])]
        index = build(rows, kind=RowKind.PREFERENCE, max_length=64)
        assert (index.num_examples, index.num_dropped_rows, index.num_cut_rows) == (2, 1, 1)


class TestTexts:
    def test_a_text_is_cut_into_pieces_that_lose_nothing(self, build: Build, tiny_format: ChatFormat) -> None:
        texts = ["alpha beta gamma", LONG, "delta " * 40]
        rows = [{"number": number, "text": text} for number, text in enumerate(texts)]
        index = build(rows, kind=RowKind.TEXT, max_length=50)
        assert index.token_ids.tolist() == [token for text in texts for token in tiny_format.encode_text(text)]
        assert (index.num_cut_rows, index.num_dropped_rows) == (0, 0)
        assert max(index.length(number) for number in range(index.num_examples)) == 50
        for number in range(index.num_examples):
            assert index.sequence_weights(number).tolist() == [0.0] + [1.0] * (index.length(number) - 1)

    def test_a_piece_of_one_token_has_nothing_to_predict(self, build: Build, tiny_format: ChatFormat) -> None:
        text = "alpha beta gamma"
        length = len(tiny_format.encode_text(text))
        index = build([{"number": 0, "text": text}], kind=RowKind.TEXT, max_length=length - 1)
        assert [index.length(number) for number in range(index.num_examples)] == [length - 1]
        assert index.num_dropped_rows == 0  # something of the row is left


class TestSideBySide:
    def test_two_processes_make_the_same_bits_as_one(self, build: Build, tmp_path: Path) -> None:
        rows = [row(number) for number in range(4100)]
        rows[4050]["messages"][1]["weight"] = 0
        rows[4060], rows[4090] = refused(4060), refused(4090)
        told: dict[str, list[int]] = {"one": [], "two": []}
        one = build(rows, "one", max_length=40, on_progress=told["one"].append)
        two = build(rows, "two", max_length=40, num_workers=2, on_progress=told["two"].append)
        for name in ("token_ids.u32", "weights.f32", "offsets.i64", "index.json"):
            assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
        assert fingerprint(one) == fingerprint(two)
        assert (one.num_examples, one.num_dropped_rows, one.num_refused_rows) == (4097, 1, 2)
        assert two.first_refusal == one.first_refusal is not None
        assert told["one"] == told["two"] == [1000, 2000, 3000, 4000, 4100]

    def test_few_long_rows_are_shared_too(self, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(token_index, "_CHARS_PER_CHUNK", 500)
        rows = [{"number": number, "text": LONG} for number in range(5)]
        told: list[int] = []
        build(rows, kind=RowKind.TEXT, num_workers=2, on_progress=told.append)
        assert told == [1, 2, 3, 4, 5]

    def test_the_others_end_with_the_process_that_started_them(self, tmp_path: Path, base_model_dir: Path) -> None:
        """Killed, it cannot tell them."""
        write_rows(tmp_path / "rows.jsonl", [row(number) for number in range(20_000)])
        (tmp_path / "program.py").write_text(ENDLESS)
        command = [sys.executable, "program.py", str(base_model_dir)]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            program.stdout.readline()
            workers = psutil.Process(program.pid).children(recursive=True)
            assert len([one for one in workers if "--multiprocessing-fork" in one.cmdline()]) == 2
            program.kill()
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


class TestWholeOrNotAtAll:
    def test_it_is_made_once_and_then_only_mapped(self, build: Build, tmp_path: Path) -> None:
        first = build([row(number) for number in range(5)])
        again = token_index.build(
            tmp_path / "gone.jsonl", tmp_path / "index", kind=RowKind.CHAT, model_dir=tmp_path, max_length=1
        )
        assert fingerprint(again) == fingerprint(first)
        assert isinstance(again.token_ids, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            again.weights[0] = 1

    @pytest.mark.parametrize("name", ["index.json.partial", "offsets.i64"])
    def test_a_kill_before_its_description_stands_leaves_none(self, build: Build, tmp_path: Path, name: str) -> None:
        rows = [row(number) for number in range(5)]
        expected = build(rows, "whole")
        child = os.fork()
        if child == 0:
            real = Path.rename if name.endswith("partial") else os.fsync
            owner, attribute = (Path, "rename") if real is Path.rename else (os, "fsync")
            setattr(owner, attribute, lambda *_: os._exit(9))  # as SIGKILL: no farewell
            build(rows)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert (tmp_path / "index" / name).exists()
        assert not (tmp_path / "index" / "index.json").exists()
        assert fingerprint(build(rows)) == fingerprint(expected)

    def test_a_failure_on_the_way_is_made_good_by_the_next_call(self, build: Build) -> None:
        rows = [row(number) for number in range(2500)]

        def fail(num_rows: int) -> None:
            if num_rows == 2000:
                raise OSError(28, "No space left on device")

        with pytest.raises(OSError, match="No space left"):
            build(rows, on_progress=fail)
        index = build(rows)
        assert index.num_examples == 2500
        assert index.offsets[-1] == len(index.token_ids) == len(index.weights)

    def test_one_of_another_version_is_made_anew(self, build: Build, tmp_path: Path) -> None:
        expected = build([row(0), row(1)])
        description = tmp_path / "index" / "index.json"
        # as the first version left it
        description.write_text('{"sequences_per_example": 1, "num_cut_rows": 0, "num_dropped_rows": 0}')
        assert fingerprint(build([row(0), row(1)])) == fingerprint(expected)
        assert build([row(5)]).num_examples == 2  # and only mapped from then on

    def test_the_fingerprint_tells_apart_what_is_learned_differently(self, build: Build) -> None:
        weighted = row(0)
        weighted["messages"][1]["weight"] = 0.5
        indexes = [build([row(0)], "a"), build([row(1)], "b"), build([weighted], "c"), build([row(0)] * 2, "d")]
        assert len({fingerprint(index) for index in indexes}) == 4


def test_memory_does_not_grow_with_the_data(
    tmp_path: Path, base_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_index, "_ROWS_PER_CHUNK", 50)

    def peak(num_rows: int) -> tuple[int, int]:
        """Bytes of the most that was held, and of the index."""
        path, folder = tmp_path / f"{num_rows}.jsonl", tmp_path / f"{num_rows}"
        write_rows(path, [row(number % 40) for number in range(num_rows)])
        tracemalloc.start()
        token_index.build(path, folder, kind=RowKind.CHAT, model_dir=base_model_dir, max_length=128)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest, sum(one.stat().st_size for one in folder.iterdir())

    peak(10)  # what is imported and cached by the first
    (few, few_bytes), (many, many_bytes) = peak(400), peak(2400)
    assert many_bytes - few_bytes > 300_000
    assert many - few < 50_000
