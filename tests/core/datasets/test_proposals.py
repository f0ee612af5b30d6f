import pytest

from core.datasets.proposals import propose, suggest_mapping
from core.datasets.types import ColumnRole

LONG = "This is a paragraph of an article that goes on and on about the opening hours of our house. " * 3


def tickets(*, agent: str, customer: str, names: tuple[str, ...]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Ten conversations of two messages; what `{n}` is in a speaker is the conversation's number."""
    rows = []
    for number in range(10):
        who = (customer.format(n=number), agent.format(n=number))
        rows += [
            [str(100 + number), f"2026-11-02 10:0{turn}", who[turn], f"Something is said in turn {turn}"]
            for turn in (0, 1)
        ]
    return names, rows


NAMES = ("ticket_id", "created_at", "author", "body")


@pytest.mark.parametrize(
    ("agent", "customer", "names", "assistants"),
    [
        ("agent", "customer", NAMES, ["agent"]),
        ("Support team", "End-user", ("Ticket ID", "Date", "From", "Message"), ["Support team"]),
        ("Anna", "customer", NAMES, ["Anna"]),
        ("true", "false", ("thread", "time", "is_agent", "text"), ["true"]),
        ("0", "1", ("thread", "time", "is_customer", "text"), ["0"]),
        ("outbound", "inbound", ("case_id", "sent_at", "direction", "content"), ["outbound"]),
        ("ana@shop.example", "c{n}@mail{n}.example", ("conversation", "date", "from", "message"), ["@shop.example"]),
        ("Bo <bo@shop.example>", "c{n}@gmail.com", ("conversation", "date", "from", "message"), ["@shop.example"]),
    ],
)
def test_threads_are_told_and_who_answers_in_them(
    agent: str, customer: str, names: tuple[str, ...], assistants: list[str]
) -> None:
    found = suggest_mapping(*tickets(agent=agent, customer=customer, names=names))
    assert found is not None
    assert found.is_thread
    assert [found.conversation, found.time, found.speaker, found.message] == list(names)
    assert found.assistant_speakers == assistants


def test_notes_are_passed_over() -> None:
    names, rows = tickets(agent="agent", customer="customer", names=NAMES)
    rows.append(["100", "2026-11-02 11:00", "Internal note", "Is angry"])
    assert propose(names, rows).ignored_speakers == ["Internal note"]


def test_whose_names_tell_nothing_is_asked() -> None:
    names, rows = tickets(agent="Ben", customer="Kim", names=NAMES)
    assert suggest_mapping(names, rows) is None
    assert propose(names, rows).missing() == ["assistant_speakers"]
    assert propose(names, rows).columns()[ColumnRole.SPEAKER] == "author"


def test_an_id_that_never_comes_again_makes_no_threads() -> None:
    rows = [[str(number), "web", f"Where is parcel {number}?", "On its way to you."] for number in range(10)]
    found = suggest_mapping(["ticket_id", "from", "question", "answer"], rows)
    assert found is not None
    assert found.dump() == {"question": "question", "answer": "answer"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["Prompt", "Good answer", "Bad answer"],
            {"question": "Prompt", "chosen": "Good answer", "rejected": "Bad answer"},
        ),
        (["text", "better", "worse"], {"question": "text", "chosen": "better", "rejected": "worse"}),
        (["subject", "body", "reply"], {"question": "subject", "context": "body", "answer": "reply"}),
        (["subject", "message", "reply"], {"question": "subject", "context": "message", "answer": "reply"}),
        (["question", "context", "answer"], {"question": "question", "context": "context", "answer": "answer"}),
    ],
)
def test_other_ways_are_told_by_names(names: list[str], expected: dict[str, str]) -> None:
    found = suggest_mapping(names, [["some words here"] * len(names)] * 10)
    assert found is not None
    assert found.dump() == expected


def test_one_column_of_long_texts_is_plain_text() -> None:
    found = suggest_mapping(["page", "content"], [[str(number), LONG] for number in range(10)])
    assert found is not None
    assert found.dump() == {"text": "content"}
    assert suggest_mapping(["page", "content"], [[str(number), "short"] for number in range(10)]) is None


def test_a_column_of_codes_asks_nothing_whatever_it_is_called() -> None:
    names = ["Ticket", "Customer message", "Our reply", "Date"]
    rows = [[f"T-{number}", "Where can I park today?", "Behind the house.", "2026-03-01"] for number in range(12)]
    found = propose(names, rows)
    assert (found.question, found.answer) == ("Customer message", "Our reply")
    labels = propose(["text", "label"], [["It broke after two days.", str(number % 2)] for number in range(12)])
    assert (labels.question, labels.answer) == ("text", "label")
