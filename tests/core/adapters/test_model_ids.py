import pytest

from core.adapters.model_ids import new_model_id, suffix_of


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("claims", "claims"),
        ("My claims: helper!", "My-claims-helper"),
        ("a:b/c", "a-b-c"),
        ("übung", "ubung"),
        ("---", ""),
        ("x" * 70, "x" * 64),
    ],
)
def test_a_suffix_cannot_break_the_id(text: str, suffix: str) -> None:
    assert suffix_of(text) == suffix


def test_two_ids_of_one_name_differ() -> None:
    made = {new_model_id(base_model="base", workspace_slug="acme", suffix="s") for _ in range(100)}
    assert len(made) == 100
    assert {model_id.rpartition(":")[0] for model_id in made} == {"ft:base:acme:s"}
