import base64
import secrets

import pytest

from core.kit.sealing import KEY_BYTES, Sealer, Unsealable


def pair(key_id: str) -> str:
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


SEALER = Sealer.of_settings(pair("a"), "")


def test_what_is_sealed_opens_to_the_same_and_shows_nothing() -> None:
    sealed = SEALER.seal("a secret 🐦", context="webhook we_1")
    assert "secret" not in sealed
    assert SEALER.open(sealed, context="webhook we_1") == "a secret 🐦"
    assert SEALER.seal("a secret 🐦", context="webhook we_1") != sealed


def test_it_opens_only_where_it_belongs() -> None:
    with pytest.raises(Unsealable):
        SEALER.open(SEALER.seal("a secret", context="webhook we_1"), context="webhook we_2")


@pytest.mark.parametrize("at", [0, 5, 10, -2])
def test_a_changed_value_does_not_open(at: int) -> None:
    sealed = SEALER.seal("a secret", context="")
    changed = list(sealed)
    changed[at] = "A" if changed[at] != "A" else "B"
    with pytest.raises(Unsealable):
        SEALER.open("".join(changed), context="")


@pytest.mark.parametrize("value", ["", "v1", "v1.a", "v1.a.", "v1.a.!!", "v1.a.AAAA", "v2.a.AAAA", "ä.ö.ü"])
def test_what_was_never_sealed_does_not_open(value: str) -> None:
    with pytest.raises(Unsealable):
        SEALER.open(value, context="")


def test_keys_are_rotated() -> None:
    old, new = pair("2025"), pair("2026")
    sealed = Sealer.of_settings(old, "").seal("a secret", context="")
    both = Sealer.of_settings(f"{new}, {old}", "")
    assert both.open(sealed, context="") == "a secret"
    assert not both.is_current(sealed)
    assert both.is_current(both.seal("a secret", context=""))
    with pytest.raises(Unsealable, match="2025"):
        Sealer.of_settings(new, "").open(sealed, context="")


def test_without_keys_one_is_derived_from_the_secret_key() -> None:
    sealed = Sealer.of_settings("", "one").seal("a secret", context="")
    assert Sealer.of_settings(" ", "one").open(sealed, context="") == "a secret"
    with pytest.raises(Unsealable):
        Sealer.of_settings("", "another").open(sealed, context="")


def test_a_sealer_is_told_on_as_a_setting() -> None:
    for sealer in (Sealer.of_settings(f"{pair('new')},{pair('old')}", ""), Sealer.of_settings("", "a secret key")):
        assert Sealer.of_settings(sealer.as_setting(), "another") == sealer
        assert list(Sealer.of_settings(sealer.as_setting(), "another").keys) == list(sealer.keys)


_ZEROS = base64.b64encode(bytes(KEY_BYTES)).decode()


@pytest.mark.parametrize("keys", ["a", "a:", "a:AAAA", f":{_ZEROS}", f"a.b:{_ZEROS}", "a:ä", f"a:{_ZEROS},a:{_ZEROS}"])
def test_keys_of_the_wrong_form_are_refused(keys: str) -> None:
    with pytest.raises(ValueError, match="encryption key"):
        Sealer.of_settings(keys, "")
