from hypothesis import given
from hypothesis import strategies as st

from core.workspaces.api_keys import is_well_formed, new_key


def test_a_key_is_well_formed_and_new_each_time() -> None:
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    assert all(is_well_formed(key) and len(key) == 44 and key.startswith("tb_live_") for key in keys)


@given(position=st.integers(8, 43), letter=st.sampled_from("0Az"))
def test_one_wrong_letter_is_noticed_without_a_database(position: int, letter: str) -> None:
    key = new_key()
    changed = key[:position] + letter + key[position + 1 :]
    assert is_well_formed(changed) is (changed == key)


@given(st.text())
def test_anything_else_is_noticed_too(text: str) -> None:
    assert not is_well_formed(text)
    assert not is_well_formed("tb_live_" + text)
