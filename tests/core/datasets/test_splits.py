from hypothesis import given
from hypothesis import strategies as st

from core.datasets.splits import MAX_HELDOUT, choose_heldout, heldout_target

COUNTS = st.dictionaries(st.binary(min_size=16, max_size=16), st.integers(1, 5), min_size=2, max_size=200)


@given(COUNTS)
def test_about_a_tenth_is_held_out_and_something_is_left(counts: dict[bytes, int]) -> None:
    chosen = choose_heldout(counts)
    num_chosen = sum(counts[digest] for digest in chosen)
    assert 0 < len(chosen) < len(counts)
    assert num_chosen <= max(heldout_target(sum(counts.values())), min(counts.values()))


@given(COUNTS, st.randoms())
def test_the_order_of_the_rows_changes_nothing(counts: dict[bytes, int], random: object) -> None:
    shuffled = list(counts.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert choose_heldout(dict(shuffled)) == choose_heldout(counts)


def test_the_target_has_a_floor_and_a_ceiling() -> None:
    assert heldout_target(10) == 1
    assert heldout_target(1000) == 100
    assert heldout_target(100_000) == MAX_HELDOUT
