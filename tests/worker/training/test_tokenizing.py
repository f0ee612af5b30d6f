"""What becomes of a run's rows before it trains: those it cannot use are left out, said, and cost nothing."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from core.errors import Invalid
from core.kit.hashing import sha256_file
from tests.worker.training.conftest import events_of, execute, row, write_rows
from worker.training import tokenizing
from worker.training.data import token_index

MakeRun = Callable[..., Path]
LONG = "alpha beta " * 60


def with_tools(number: int) -> dict[str, Any]:
    """The tiny base's chat template has no place for them."""
    return row(number) | {"tools": [{"type": "function", "function": {"name": "find_tide"}}]}


def warnings_of(folder: Path) -> list[dict[str, Any]]:
    return [event for event in events_of(folder, "message") if event["level"] == "warn"]


def refusal_of(folder: Path) -> Invalid:
    with pytest.raises(Invalid) as refused:
        execute(folder)
    assert not (folder / "adapter").exists()
    return refused.value


class TestRefusedRows:
    def test_a_run_is_that_of_the_other_rows_to_the_bit(self, make_run: MakeRun) -> None:
        clean, dirty = make_run("clean", num_epochs=1), make_run("dirty", num_epochs=1)
        rows = [row(number) for number in range(24)]
        write_rows(dirty / "train.jsonl", [*rows[:7], with_tools(100), *rows[7:], with_tools(101)])
        write_rows(dirty / "heldout.jsonl", [with_tools(102), *(row(number) for number in range(24, 30))])
        expected, found = execute(clean), execute(dirty)
        assert not warnings_of(clean)
        # nothing of them was computed, so nothing is charged
        for name in ("steps", "seen_tokens", "trained_tokens", "base_heldout_loss", "tuned_heldout_loss"):
            assert found[name] == expected[name]
        left, right = (sha256_file(one / "adapter" / "adapter_model.safetensors") for one in (clean, dirty))
        assert left == right

    def test_they_are_counted_and_the_first_is_said(self, make_run: MakeRun) -> None:
        folder = make_run(num_epochs=1)
        write_rows(folder / "train.jsonl", [*(row(n) for n in range(9)), with_tools(31), with_tools(32)])
        write_rows(folder / "heldout.jsonl", [row(24), with_tools(33), with_tools(34), with_tools(35)])
        execute(folder)
        training, heldout = warnings_of(folder)
        reason = {"reason": "tools_unsupported"}
        assert training["data"] == {"num_refused": 2, "num_rows": 11, "row": 31} | reason
        assert training["message"].startswith("Left out: 2 of 11 training examples, which cannot be written in this")
        assert "The first is row 31: This base model's chat template has no place for tools." in training["message"]
        # of those that only measure, one is enough
        assert heldout["data"] == {"num_refused": 3, "num_rows": 4, "row": 33} | reason

    def test_a_quarter_of_them_is_borne(self, make_run: MakeRun) -> None:
        folder = make_run(num_epochs=1)
        write_rows(folder / "train.jsonl", [*(row(n) for n in range(9)), *(with_tools(40 + n) for n in range(3))])
        assert execute(folder)["steps"] == 2

    def test_more_than_a_quarter_ends_the_run_before_it_costs_anything(self, make_run: MakeRun) -> None:
        folder = make_run()
        write_rows(folder / "train.jsonl", [*(row(n) for n in range(10)), *(with_tools(40 + n) for n in range(4))])
        refused = refusal_of(folder)
        assert refused.error_code == "too_many_rows_refused"
        assert refused.details == {"num_refused": 4, "num_rows": 14, "row": 40, "reason": "tools_unsupported"}
        assert "more than 25% of them. The first is row 40: This base model's chat template" in refused.message
        assert not events_of(folder, "progress")

    def test_without_any_other_row_the_reason_is_said(self, make_run: MakeRun) -> None:
        folder = make_run()
        write_rows(folder / "train.jsonl", [with_tools(1)])
        assert refusal_of(folder).message.startswith("1 of 1 training examples cannot be written")
        other = make_run("other")
        write_rows(other / "heldout.jsonl", [with_tools(1)])
        refused = refusal_of(other)
        assert refused.error_code == "no_usable_rows"
        assert "No held-out example can be written in this base model's chat format. The first is row 1" in str(refused)


class TestWhatIsLost:
    def test_long_rows_are_cut_and_rows_without_anything_to_learn_left_out(self, make_run: MakeRun) -> None:
        folder = make_run(max_length_tokens=64, num_epochs=1)
        mute, asks_long = row(7), row(8)
        mute["messages"][1]["weight"] = 0
        asks_long["messages"][0]["content"] = LONG
        write_rows(folder / "train.jsonl", [*(row(n) for n in range(6)), row(6, answer=LONG), mute, asks_long])
        execute(folder)
        [warning] = warnings_of(folder)
        assert warning["data"] == {"num_cut": 2, "num_dropped": 2}
        assert warning["message"] == (
            "Cut: 2 training examples lost what is beyond 64 tokens. "
            "Left out: 2 training examples with nothing to learn within 64 tokens."
        )

    def test_a_row_that_is_left_out_without_being_cut_is_said_too(self, make_run: MakeRun) -> None:
        folder = make_run(num_epochs=1)
        mute = row(7)
        mute["messages"][1]["weight"] = 0
        write_rows(folder / "train.jsonl", [row(0), mute])
        execute(folder)
        [warning] = warnings_of(folder)
        assert warning["message"] == "Left out: 1 training example with nothing to learn within 128 tokens."

    @pytest.mark.parametrize("file", ["train", "heldout"])
    @pytest.mark.parametrize(
        ("rows", "why"),
        [
            ([], "There is no {} example."),
            ([row(0, answer="") | {"messages": [{"role": "user", "content": LONG}]}], "Shorten the questions"),
            ([{"number": 1, "messages": []}], "There is nothing to learn in any {} example"),
        ],
        ids=["none", "too_long", "mute"],
    )
    def test_why_no_row_is_left(self, make_run: MakeRun, file: str, rows: list[dict[str, Any]], why: str) -> None:
        folder = make_run()
        write_rows(folder / f"{file}.jsonl", rows)
        refused = refusal_of(folder)
        assert refused.error_code == "no_usable_rows"
        assert why.format({"train": "training", "heldout": "held-out"}[file]) in refused.message


def test_rows_are_encoded_by_as_many_processes_as_the_run_has_threads_and_their_number_is_told(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the run is to the bit the one of a single process."""
    monkeypatch.setattr(token_index, "_ROWS_PER_CHUNK", 20)
    monkeypatch.setattr(tokenizing, "_ROWS_PER_MESSAGE", 40)
    pools: list[int] = []

    def note(num_workers: int, *args: Any, **options: Any) -> ProcessPoolExecutor:  # noqa: ANN401
        pools.append(num_workers)
        return ProcessPoolExecutor(num_workers, *args, **options)

    monkeypatch.setattr(token_index, "ProcessPoolExecutor", note)
    monkeypatch.setattr("worker.training.run.torch.set_num_threads", lambda _: None)  # rounding is not the matter here
    folders = [make_run(name, num_threads=num, num_epochs=1) for name, num in (("one", 1), ("two", 2))]
    for folder in folders:
        write_rows(folder / "train.jsonl", [row(number) for number in range(100)])
        execute(folder)
        told = [event["message"] for event in events_of(folder, "message")]
        assert told == ["40 examples are read.", "80 examples are read."]
    assert pools == [2]  # the few held-out rows are not worth starting one
    one, two = (sha256_file(folder / "adapter" / "adapter_model.safetensors") for folder in folders)
    assert one == two
