from worker import output_backlog
from worker.output_backlog import OutputBacklog


def test_pieces_are_handed_over_about_once_a_second_and_at_the_end_at_once() -> None:
    backlog = OutputBacklog()
    backlog.add(b"one ")
    assert backlog.take() == "one "
    backlog.written()
    backlog.add(b"two")
    assert backlog.take() == ""
    backlog.hurry()
    assert backlog.take() == "two"
    assert backlog.is_waiting
    backlog.written()
    assert not backlog.is_waiting


def test_what_the_database_did_not_take_comes_again_in_order() -> None:
    backlog = OutputBacklog()
    backlog.hurry()
    backlog.add(b"one ")
    taken = backlog.take()
    backlog.add(b"two")
    backlog.put_back(taken)
    assert backlog.take() == "one two"


def test_a_letter_cut_in_two_is_put_together() -> None:
    backlog = OutputBacklog()
    backlog.hurry()
    backlog.add("é".encode()[:1])
    assert backlog.take() == ""
    backlog.add("é".encode()[1:])
    assert backlog.take() == "é"


def test_it_keeps_the_end_of_too_much() -> None:
    backlog = OutputBacklog()
    for _ in range(20):
        backlog.add(b"x" * 64 * 1024)
    backlog.add(b"the end")
    kept = backlog.take()
    assert len(kept) == output_backlog._MAX_CHARS
    assert kept.endswith("the end")
