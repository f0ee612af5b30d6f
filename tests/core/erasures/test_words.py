import json

import pytest

from core.erasures.words import ERASED, blanked, checked, hold
from core.errors import Invalid


class TestTerms:
    def test_are_taken_without_blanks_and_each_once(self) -> None:
        assert checked([" Ada  Lovelace ", "ada lovelace", "+49 30 1"]) == ["ada lovelace", "+49 30 1"]

    @pytest.mark.parametrize("terms", [[], ["al"], ["   "], ["x" * 201], ["a\0bc"], ["name"] * 11])
    def test_that_do_not_tell_a_person_are_refused(self, terms: list[str]) -> None:
        with pytest.raises(Invalid) as refused:
            checked(terms)
        assert refused.value.error_code == "invalid_terms"


class TestWhatSomebodySaid:
    @pytest.mark.parametrize(
        "value",
        [
            [{"role": "user", "content": "I am ADA lovelace."}],
            {"text": "ada lovelace"},
            [{"role": "user", "content": "?", "name": "Ada Lovelace"}],
            [{"function": {"name": "f", "arguments": json.dumps({"who": "Ada Lovelace"})}}],
            ["parking", "ada lovelace"],
            # fields that somebody else named like a part of a message
            {"type": "Ada Lovelace"},
            [{"function": {"parameters": {"properties": {"code": {"description": "As Ada Lovelace has."}}}}}],
        ],
    )
    def test_is_found_in_any_case_and_anywhere(self, value: object) -> None:
        assert hold(["Ada Lovelace"], value)

    @pytest.mark.parametrize("term", ['Ada "the Countess"', "José", "back\\slash"])
    def test_is_found_where_json_escapes_it(self, term: str) -> None:
        assert hold([term], [{"arguments": json.dumps({"who": term})}])
        assert hold([term], [{"arguments": json.dumps({"who": term}, ensure_ascii=False)}])

    @pytest.mark.parametrize("term", ["user", "role", "content", "Ada Byron"])
    def test_is_not_how_a_message_is_built(self, term: str) -> None:
        assert not hold([term], [{"role": "user", "content": "I am Ada Lovelace."}])

    def test_is_replaced_as_a_whole_and_the_shape_stays(self) -> None:
        change = {"type": "edit_row", "number": 2, "content": {"messages": [{"role": "user", "content": "Ada, 7"}]}}
        assert blanked(["ada"], change) == {
            "type": "edit_row",
            "number": 2,
            "content": {"messages": [{"role": "user", "content": ERASED}]},
        }

    def test_is_replaced_in_a_field_that_is_named_like_a_part_of_a_message(self) -> None:
        change = {"type": "edit_row", "content": {"tools": [{"code": {"description": "Ask Ada"}, "finding": "Ada"}]}}
        assert blanked(["ada"], change) == {
            "type": "edit_row",
            "content": {"tools": [{"code": {"description": ERASED}, "finding": ERASED}]},
        }
