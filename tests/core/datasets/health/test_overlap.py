"""Rows to measure with that are learned from too."""

from collections.abc import Iterable

from core.datasets.health.overlap import Overlap, OverlapCheck, SharedRow
from core.datasets.rows import question_and_answer as ask
from core.datasets.types import RowContent

LONG = "Please tell me how I can move my appointment of next Friday to another day of the week after"


def overlap(learned: Iterable[tuple[int, RowContent]], measured: Iterable[tuple[int, RowContent]]) -> Overlap:
    check = OverlapCheck()
    for number, row in learned:
        check.learn(number, row)
    for number, row in measured:
        check.measure(number, row)
    return check.found()


def test_what_differs_is_not_shared() -> None:
    found = overlap([(2, ask("Where do I park?", "Behind the house."))], [(2, ask("Is it open today?", "Until six."))])
    assert found == Overlap(num_measured=1, num_same=0, num_nearly=0, rows=[])


def test_the_same_is_told_with_both_numbers_the_smallest_of_those_learned() -> None:
    same = ask("Open?", "Yes")
    found = overlap([(9, same), (4, same), (5, ask("Where?", "Here"))], [(2, ask("When?", "Now")), (3, same)])
    assert (found.num_measured, found.num_same, found.num_nearly) == (2, 1, 0)
    assert found.rows == [SharedRow(number=3, training_number=4, is_same=True)]


def test_nearly_the_same_is_told_too() -> None:
    learned = ask(f"{LONG}.", "Call the front desk until noon and they will move it for you.")
    asked = ask(f"{LONG}!", "Call the front desk until noon and they will move it for you")
    found = overlap([(7, learned)], [(2, ask("Something else entirely", "is asked here")), (3, asked)])
    assert (found.num_same, found.num_nearly) == (0, 1)
    assert found.rows == [SharedRow(number=3, training_number=7, is_same=False)]


def test_another_number_in_it_makes_another_row() -> None:
    one, other = (ask(f"{LONG} {day}.", "Call the front desk until noon.") for day in (11, 12))
    assert overlap([(2, one)], [(2, other)]).num_shared == 0


def test_what_repeats_within_one_of_the_two_is_not_shared() -> None:
    same, nearly = ask(f"{LONG}.", "Call us."), ask(f"{LONG}!", "Call us")
    other = ask("Where can I park my car when I come?", "There are six free places behind the house.")
    assert overlap([(2, other)], [(2, same), (3, same), (4, nearly)]).num_shared == 0
    assert overlap([(2, same), (3, same), (4, nearly)], [(2, other)]).num_shared == 0


def test_every_shared_row_counts_and_the_first_five_are_named() -> None:
    rows = [(number, ask(f"Question {number}?", "Yes")) for number in range(2, 22)]
    found = overlap(rows, rows)
    assert (found.num_measured, found.num_same, [row.number for row in found.rows]) == (20, 20, [2, 3, 4, 5, 6])


def test_texts_are_compared_as_well() -> None:
    text = "Whoever works on a holiday chooses another day within the month, and tells the office."
    found = overlap([(1, RowContent(text=text))], [(5, RowContent(text=text + " "))])
    assert (found.num_same, found.num_nearly) == (0, 1)
