from core.datasets.health import content_digest, fixed
from core.datasets.health.check import HealthCheck
from core.datasets.rows import question_and_answer as ask
from core.datasets.types import Fix, Message, Problem, RowContent, Severity


def prefer(chosen: str, rejected: str, *, prompt: str = "Which?") -> RowContent:
    return RowContent(
        messages=[Message(role="user", content=prompt)],
        chosen=[Message(role="assistant", content=chosen)],
        rejected=[Message(role="assistant", content=rejected)],
    )


def check(*rows: RowContent) -> tuple[HealthCheck, list[list[Problem]]]:
    """Both passes over rows that are numbered from 1."""
    health = HealthCheck(max_row_tokens=1000)
    for number, row in enumerate(rows, start=1):
        health.observe(number, row)
    return health, [health.problems(number, row) for number, row in enumerate(rows, start=1)]


def codes(found: list[list[Problem]]) -> list[list[str]]:
    return [[problem.code for problem in problems] for problems in found]


def counts(health: HealthCheck) -> dict[str, int]:
    return {finding.code: finding.count for finding in health.summary().findings}


def test_what_is_said_twice_is_counted_and_points_to_the_first() -> None:
    health, found = check(ask("a", "b"), ask("c", "d"), ask("a", "b"), ask("a", "b"))
    assert codes(found) == [[], [], ["duplicate"], ["duplicate"]]
    assert (found[3][0].row, "row 1" in found[3][0].cause) == (4, True)
    [finding] = health.summary().findings
    assert (finding.code, finding.count, finding.rows, finding.fixes) == ("duplicate", 2, [3, 4], [Fix.LEAVE_OUT])
    assert finding.sentence == "2 examples say the same as an earlier one."
    assert fixed("duplicate", ask("a", "b")) is None


def test_one_question_with_two_answers_is_a_contradiction_however_it_is_written() -> None:
    _, found = check(ask("Open today?", "Yes"), ask(" open  TODAY?", "No"), ask("Where?", "Here"))
    assert codes(found) == [["contradiction"], ["contradiction"], []]


def test_an_answer_that_differs_only_in_case_is_no_contradiction() -> None:
    health, _ = check(ask("Open?", "Yes"), ask("Open?", "yes "))
    assert counts(health) == {}


def test_words_cannot_move_between_messages_unnoticed() -> None:
    assert content_digest(ask("ab", "c")) != content_digest(ask("a", "bc"))


def test_the_digest_of_a_plain_conversation_is_what_it_always_was() -> None:
    """Else the same examples would be held out differently, and runs before and after could not be compared."""
    assert content_digest(ask("a", "b")).hex() == "98d81e4ddc349da257bf12e7e9dbc79f"


def test_whatever_is_learned_differently_is_another_row() -> None:
    plain = ask("a", "b")
    weighed = RowContent(messages=[plain.messages[0], Message(role="assistant", content="b", weight=0.5)])
    with_tools = RowContent(messages=plain.messages, tools=[{"type": "function", "function": {"name": "f"}}])
    rows = [plain, weighed, with_tools, prefer("a", "b"), prefer("b", "a"), prefer("ab", ""), RowContent(text="a")]
    assert len({content_digest(row) for row in rows}) == len(rows)


def test_a_pair_preferred_both_ways_round_is_a_contradiction_and_a_second_pair_is_none() -> None:
    rows = [prefer("Yes", "No"), prefer("Yes", "Maybe"), prefer(" no ", "YES"), prefer("Left", "Right")]
    _, found = check(*rows)
    assert codes(found) == [["contradiction"], [], ["contradiction"], []]
    assert "prefers the other one" in found[0][0].cause


def test_a_call_that_differs_contradicts_and_a_name_does_not() -> None:
    def call(arguments: str) -> Message:
        return Message(
            role="assistant",
            content=None,
            tool_calls=[{"type": "function", "function": {"name": "look_up", "arguments": arguments}}],
        )

    asked, named = Message(role="user", content="Where?"), Message(role="user", content="Where?", name="Ann")
    rows = [RowContent(messages=[asked, call('{"id": 1}')]), RowContent(messages=[named, call('{"id": 1}')])]
    assert counts(check(*rows)[0]) == {}
    assert counts(check(*rows, RowContent(messages=[asked, call('{"id": 2}')]))[0]) == {"contradiction": 3}


def test_a_text_said_twice_is_counted_and_contradicts_nothing() -> None:
    health, _ = check(RowContent(text="The same words."), RowContent(text="The same words."))
    assert counts(health) == {"duplicate": 1}


def test_the_worst_is_told_first_and_whatever_is_left_out_is_told() -> None:
    health, _ = check(ask("a", "b"), ask("a", "b"), ask("a", "b"))
    for number, code in ((5, "empty"), (6, "too_many_cells")):
        health.leave_out(number, Problem(row=number, column=None, code=code, cause="", fix="", severity=Severity.ERROR))
    assert [(one.code, one.severity, one.rows) for one in health.summary().findings] == [
        ("empty", Severity.ERROR, [5]),
        ("too_many_cells", Severity.ERROR, [6]),
        ("duplicate", Severity.WARNING, [2, 3]),
    ]
