import contextlib
import json
import time

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from api.json_depth import MAX_DEPTH, check_depth
from core.errors import Invalid


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_the_limit_is_exact(opening: bytes, closing: bytes) -> None:
    check_depth(opening * MAX_DEPTH + b"1" + closing * MAX_DEPTH)
    with pytest.raises(Invalid, match="64 levels"):
        check_depth(opening * (MAX_DEPTH + 1) + b"1" + closing * (MAX_DEPTH + 1))


def test_levels_of_both_kinds_count() -> None:
    check_depth(b'[{"a":' * 32 + b"1" + b"}]" * 32)
    with pytest.raises(Invalid):
        check_depth(b'[{"a":' * 33 + b"1" + b"}]" * 33)


def test_brackets_in_a_text_are_no_levels() -> None:
    check_depth(json.dumps({"text": '[{"' * 1000, "other": "\\" + "[" * 1000}).encode())


@given(
    st.recursive(
        st.integers() | st.text('[]{}"\\'), lambda inner: st.lists(inner) | st.dictionaries(st.text("[{"), inner)
    )
)
def test_what_people_send_passes(value: object) -> None:
    check_depth(json.dumps([value] * 70).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 2_000_000,
        b'"' + b'\\"' * 1_000_000,
        b"[{" * 1_000_000,
        (b"[" * 63 + b"]" * 63 + b",") * 15_000,
        b"[[]," * 99 + b'"\\',
    ],
    ids=["open", "quotes", "both", "wide and deep", "cut off"],
)
def test_the_worst_body_takes_no_longer_than_to_parse_it_would(body: bytes) -> None:
    started_at = time.perf_counter()
    with contextlib.suppress(Invalid):
        check_depth(body)
    assert time.perf_counter() - started_at < 1


@pytest.mark.stack
def test_a_deep_body_is_refused_before_anybody_walks_it(client: TestClient, as_admin: dict[str, str]) -> None:
    body = b'{"name":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    headers = as_admin | {"content-type": "application/json"}
    answer = client.post("/v1/api_keys", headers=headers, content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "json_too_deep")
