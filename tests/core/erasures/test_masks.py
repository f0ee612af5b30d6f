from typing import Any

import pytest

from core.erasures.masks import filename, pairs, under
from core.erasures.words import ERASED, places

ADA = ["Ada"]


class TestUnder:
    def test_takes_out_what_stands_under_a_name_and_nothing_else(self) -> None:
        payload = {"run_id": "ftjob-0ada1", "asked_by": {"user_id": "usr_ada", "name": "Ada L."}, "files": ["ada"]}
        assert under("name")(ADA, payload) == {
            "run_id": "ftjob-0ada1",
            "asked_by": {"user_id": "usr_ada", "name": ERASED},
            "files": ["ada"],
        }

    def test_finds_a_name_anywhere_and_has_a_mask_for_each(self) -> None:
        lineage = {"files": [{"filename": "ada.zip", "sha256": "0ada0"}], "metadata": {"for": "Ada", "by": "Bo"}}
        assert under(filename=filename, metadata=pairs)(ADA, lineage) == {
            "files": [{"filename": f"{ERASED}.zip", "sha256": "0ada0"}],
            "metadata": {"by": "Bo"},
        }

    @pytest.mark.parametrize("value", [None, {}, {"name": "Bo"}, {"name": None}])
    def test_leaves_what_holds_none(self, value: object) -> None:
        assert under("name")(ADA, value) == value


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (None, None),
        ({"team": "north"}, {"team": "north"}),
        ({"team": "Ada's", "ada": "yes", "type": "ada", "n": "1"}, {"n": "1"}),
    ],
)
def test_of_pairs_those_go_that_say_it_in_their_name_or_value(given: dict[str, Any] | None, left: object) -> None:
    assert pairs(ADA, given) == left


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (None, None),
        ("letters.csv", "letters.csv"),
        ("Letters of Ada.jsonl", f"{ERASED}.jsonl"),
        ("ada.csv.gz", f"{ERASED}.csv.gz"),
        ("Ada", ERASED),
        ("letters.ada", ERASED),
    ],
)
def test_the_name_of_a_file_keeps_its_ending(given: str | None, left: str | None) -> None:
    assert filename(ADA, given) == left


def test_words_are_found_where_they_are_the_longest_first() -> None:
    assert places(["Ada", "ada lovelace"], "By ADA Lovelace. Ada.") == [(3, 15), (17, 20)]
    assert places(["a.a"], "aba") == []
    assert places(["anna", "nana"], "annana") == [(0, 4), (2, 6)]
