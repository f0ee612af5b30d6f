import pytest

from core.errors import Invalid
from core.identity.passwords import MAX_CHARS, MIN_CHARS, hash_password, password_matches
from core.identity.service import normal_email


class TestPasswords:
    def test_a_hash_matches_its_password_only_and_is_argon2id(self) -> None:
        found = hash_password("a long enough password")
        assert found.startswith("$argon2id$")
        assert password_matches(found, "a long enough password")
        assert not password_matches(found, "a long enough passwore")

    def test_nothing_matches_where_there_is_no_user(self) -> None:
        assert not password_matches(None, "a password that nobody has, for the time it takes")

    def test_a_damaged_hash_matches_nothing(self) -> None:
        assert not password_matches("none", "a long enough password")

    @pytest.mark.parametrize("num_chars", [0, MIN_CHARS - 1, MAX_CHARS + 1])
    def test_the_length_has_bounds(self, num_chars: int) -> None:
        with pytest.raises(Invalid) as refused:
            hash_password("x" * num_chars)
        assert refused.value.error_code == "password_length"


class TestEmail:
    @pytest.mark.parametrize("email", [" Ana@Example.COM ", "ana@example.com"])
    def test_it_is_kept_in_lower_case(self, email: str) -> None:
        assert normal_email(email) == "ana@example.com"

    def test_a_local_name_will_do(self) -> None:
        assert normal_email("admin@localhost") == "admin@localhost"

    @pytest.mark.parametrize("email", ["", "ana", "a b@c", "a@b@c", "@b", "a@", "a\x00@b", "a@" + "b" * 300])
    def test_what_is_no_address_is_refused(self, email: str) -> None:
        with pytest.raises(Invalid):
            normal_email(email)
