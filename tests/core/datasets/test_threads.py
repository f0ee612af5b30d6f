import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from core.datasets import threads
from core.datasets.threads import Threads
from core.datasets.times import Times
from core.datasets.types import Mapping, Problem, RowContent, Speaker

MAPPING = Mapping(
    conversation="ticket",
    time="at",
    speaker="who",
    message="said",
    assistant_speakers=["Agent"],
    ignored_speakers=["note"],
)
UNTIMED = MAPPING.model_copy(update={"time": None})
Row = tuple[str, str, str, str]


def read(
    found: Iterable[Row], mapping: Mapping = MAPPING
) -> tuple[list[tuple[int, RowContent | Problem]], list[Problem]]:
    """Conversations with their first rows, and what was wrong with single rows; the first row is row 2."""
    made = Threads(mapping)
    rows = [dict(zip(("ticket", "at", "who", "said"), row, strict=True)) for row in found]
    problems = [made.add(number, row) for number, row in enumerate(rows, start=2)]
    conversations = [(row, content) for row, content, _ in made.conversations()]
    made.close()
    return conversations, [problem for problem in problems if problem is not None]


def said(found: RowContent | Problem) -> list[tuple[str, str | None]]:
    assert isinstance(found, RowContent), found
    return [(message["role"], message["content"]) for message in found.messages]


class TestAConversation:
    def test_is_put_together_by_its_id_in_the_order_of_time(self) -> None:
        found, problems = read(
            [
                ("B", "2026-11-02 10:00", "customer", "Is it open?"),
                ("A", "2026-11-02 09:03", "agent", "On Thursday."),
                ("A", "2026-11-02 09:00", "customer", "When is it ready?"),
                ("B", "2026-11-02 10:04", "AGENT ", "Until six."),
            ]
        )
        assert problems == []
        assert [(row, said(content)) for row, content in found] == [
            (2, [("user", "Is it open?"), ("assistant", "Until six.")]),
            (3, [("user", "When is it ready?"), ("assistant", "On Thursday.")]),
        ]

    def test_without_a_time_is_in_the_order_of_the_file(self) -> None:
        [(_, content)], _ = read([("A", "", "customer", "Hi"), ("A", "", "agent", "Hello")], UNTIMED)
        assert said(content) == [("user", "Hi"), ("assistant", "Hello")]

    def test_at_the_same_minute_follows_the_direction_of_the_file(self) -> None:
        newest_first = [
            ("A", "2026-11-02 10:01", "agent", "Bye"),
            ("A", "2026-11-02 10:01", "customer", "Thanks"),
            ("A", "2026-11-02 10:00", "agent", "Hello"),
            ("A", "2026-11-02 10:00", "customer", "Hi"),
        ]
        expected = [("user", "Hi"), ("assistant", "Hello"), ("user", "Thanks"), ("assistant", "Bye")]
        for order in (newest_first, newest_first[::-1]):
            [(_, content)], _ = read(order)
            assert said(content) == expected

    def test_has_one_message_for_what_one_side_says_in_several(self) -> None:
        [(_, content)], _ = read(
            [
                ("A", "1", "customer", "Hi"),
                ("A", "2", "customer", "Are you there?"),
                ("A", "3", "note", "Looks angry"),
                ("A", "4", "agent", "Yes."),
                ("A", "5", "agent", " How can I help? "),
            ]
        )
        assert said(content) == [("user", "Hi\n\nAre you there?"), ("assistant", "Yes.\n\nHow can I help?")]

    def test_begins_with_a_question_and_ends_with_an_answer(self) -> None:
        [(_, content)], _ = read(
            [
                ("A", "1", "agent", "Welcome!"),
                ("A", "2", "customer", "Is it open?"),
                ("A", "3", "agent", "Yes."),
                ("A", "4", "customer", "Thanks"),
            ]
        )
        assert said(content) == [("user", "Is it open?"), ("assistant", "Yes.")]

    @pytest.mark.parametrize("speaker", ["customer", "agent", "note"])
    def test_in_which_only_one_side_speaks_is_left_out(self, speaker: str) -> None:
        [(row, problem)], _ = read([("A", "1", speaker, "Hello?"), ("A", "2", speaker, "Hello??")])
        assert isinstance(problem, Problem)
        assert (row, problem.row, problem.code, problem.column) == (2, 2, "no_answer", "ticket")

    def test_may_have_instructions_of_its_own_or_those_of_all(self) -> None:
        rows = [("A", "Be kind", "customer", "Hi"), ("A", "", "agent", "Hello")]
        for mapping in (
            UNTIMED.model_copy(update={"system": "at"}),
            UNTIMED.model_copy(update={"system_text": "Be kind"}),
        ):
            [(_, content)], _ = read(rows, mapping)
            assert said(content)[0] == ("system", "Be kind")

    def test_of_one_column_for_all_rows_is_refused_and_not_built(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(threads, "MAX_MESSAGES", 3)
        rows = [("open", str(number), "customer", "Hi") for number in range(4)]
        [(_, problem)], _ = read([*rows, ("open", "9", "agent", "Hello")])
        assert isinstance(problem, Problem)
        assert problem.code == "conversation_too_long"
        assert problem.cause.startswith("5 rows")

    def test_with_a_time_that_cannot_be_read_is_left_out(self) -> None:
        [(_, problem)], _ = read([("A", "1", "customer", "Hi"), ("A", "yesterday", "agent", "Hello")])
        assert isinstance(problem, Problem)
        assert (problem.code, problem.column) == ("time_unreadable", "at")
        assert "row 3" in problem.cause


class TestARow:
    def test_without_a_conversation_or_a_speaker_belongs_to_none(self) -> None:
        found, problems = read([("", "1", "agent", "Hi"), ("A", "1", " ", "Hi")])
        assert found == []
        assert [(problem.row, problem.column, problem.code) for problem in problems] == [
            (2, "ticket", "empty"),
            (3, "who", "empty"),
        ]

    def test_that_says_nothing_is_passed_over(self) -> None:
        [(_, content)], problems = read(
            [("A", "1", "customer", "Hi"), ("A", "2", "customer", " "), ("A", "3", "agent", "Ho")]
        )
        assert (problems, said(content)) == ([], [("user", "Hi"), ("assistant", "Ho")])

    @pytest.mark.parametrize("speaker", ["Ana <ana@Shop.example>", "bo@shop.example"])
    def test_of_an_address_of_the_house_is_an_answer(self, speaker: str) -> None:
        mapping = UNTIMED.model_copy(update={"assistant_speakers": ["@shop.example"]})
        [(_, content)], _ = read([("A", "", "eve@gmail.com", "Hi"), ("A", "", speaker, "Hello")], mapping)
        assert said(content)[-1] == ("assistant", "Hello")


def test_who_speaks_is_counted() -> None:
    made = Threads(UNTIMED)
    for number, who in enumerate(["customer", "agent", "customer"]):
        made.add(number, {"ticket": "A", "who": who, "said": "Hi"})
    made.close()
    assert made.heard.most() == [Speaker(value="customer", num_messages=2), Speaker(value="agent", num_messages=1)]


def test_what_does_not_fit_into_memory_is_on_disk_and_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(threads, "_IN_MEMORY_BYTES", 100)
    made = Threads(UNTIMED, scratch=tmp_path)
    order = [(ticket, who) for who in ("customer", "agent") for ticket in range(50)]
    random.Random(1).shuffle(order)
    order.sort(key=lambda one: one[1], reverse=True)
    for number, (ticket, who) in enumerate(order):
        made.add(number, {"ticket": str(ticket), "who": who, "said": f"{who} of {ticket}"})
    for _, content, _ in made.conversations():
        (_, asked), (_, answered) = said(content)
        assert str(asked).removeprefix("customer") == str(answered).removeprefix("agent")
    made.close()
    assert list(tmp_path.iterdir()) == []


class TestTimes:
    @pytest.mark.parametrize(
        "written",
        [
            ["2026-11-02T10:00:00Z", "2026-11-02T10:00:00.5+00:00", "2026-11-02 13:00:00+01:00"],
            ["1764338700", "1764338701.5", "1764338702"],
            ["1", "2", "10"],
            ["02.11.2026", "02.11.2026 9:05", "13.11.2026"],
            ["04/03/2026 9:00", "05/03/2026 9:00", "13/03/2026 9:00"],
            ["03/04/2026 9:00 AM", "03/13/2026 12:05 am", "03/13/2026 1:05 PM"],
            ["12/31/25", "1/2/26", "1/13/26"],
            ["Mon, 02 Nov 2026 10:00:00 +0100", "Mon, 02 Nov 2026 09:30:00 +0000", "2 Nov 2026 11:00:00 GMT"],
            ["Nov 2, 2026 9:05 AM", "Nov 2, 2026 1:05 PM", "November 3, 2026"],
        ],
    )
    def test_are_read_as_exports_write_them(self, written: list[str]) -> None:
        times = Times()
        shuffled = [written[1], written[2], written[0]]
        assert all(times.add(one) for one in shuffled)
        assert sorted(range(3), key=times.orders()) == [2, 0, 1]

    @pytest.mark.parametrize(
        "written", ["", "soon", "31.31.2026", "nan", "inf", "1" * 400, "2026-02-30", "(", "1,2,3,4"]
    )
    def test_that_are_none_are_told(self, written: str) -> None:
        assert not Times().add(written)
