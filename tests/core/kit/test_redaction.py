import pytest

from core.kit.redaction import redacted, redacted_text

SECRET = "Zq9vXw2LrT8bNc4K"


@pytest.mark.parametrize(
    "text",
    [
        f"key tb_live_{SECRET}{SECRET} refused",
        f"tb_worker_{SECRET}",
        f"sealed whsec_{SECRET}+/=",
        f"upstream said 401 for sk-{SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"authorization=Basic {SECRET}",
        f"{{'authorization': 'Bearer {SECRET}', 'accept': '*/*'}}",
        f"[(b'authorization', b'{SECRET}'), (b'accept', b'*/*')]",
        f"Cookie: theme=dark; tailorbird_session={SECRET}",
        f"__Host-tailorbird_session={SECRET}; Path=/",
        f"[(b'cookie', b'a=b; x={SECRET}')]",
        f"postgresql+psycopg://app:{SECRET}@db:5432/t does not answer",
        f"redis://:{SECRET}@valkey:6379/0",
        f"connection to host=db user=app password={SECRET} failed",
        f"password = '{SECRET} with spaces'",
        f"Settings(mode='embedded', secret_key='{SECRET}', s3_secret_access_key='{SECRET}')",
        f"GET https://s3/bucket/key?X-Amz-Date=1&X-Amz-Signature={SECRET}&x-id=GetObject",
        f"https://s3/b/k?X-Amz-Credential={SECRET}%2F2026&X-Amz-Security-Token={SECRET}",
        f"Authorization: AWS4-HMAC-SHA256 Credential=AKIA{SECRET}/x, SignedHeaders=host, Signature={SECRET}",
        f"GET /v1/auth/callback?code={SECRET}&state={SECRET}",
        f"GET /v1/invitations?token={SECRET}",
        f'{{"email": "a@b", "password": "{SECRET}\\"{SECRET}", "n": 1}}',
        f"{{'new_password': '{SECRET}'}}",
        f"otpauth://totp/T:a?secret={SECRET}",
        f"hash $argon2id$v=19$m=65536,t=3,p=4${SECRET}",
        f"id_token=eyJhbGciOiJSUzI1.eyJ{SECRET}.{SECRET}",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
        f"x-csrf-token: 1; csrf_token={SECRET}",
    ],
)
def test_a_secret_goes_by_what_it_looks_like_or_by_its_name(text: str) -> None:
    found = redacted_text(text)
    assert SECRET not in found
    assert "[redacted]" in found


@pytest.mark.parametrize(
    "text",
    [
        "request",
        "/v1/api_keys/{key_id}",
        "usage: prompt_tokens=12, total_tokens=3, max_tokens=5",
        "pad_token=<pad> eos_token='</s>'",
        "the database does not answer: connection refused",
        "file:///work/x.csv?row=3 at http://127.0.0.1:8700/v1/files",
        "key_01jd0000000000000000000000 of ws_01jd0000000000000000000000",
        "loss=0.31 step=12 lr=2e-4",
        "see https://example.com/a@b",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert redacted_text(text) == text


def test_values_go_by_the_name_they_stand_under_however_deep() -> None:
    given = {
        "password": SECRET,
        "nested": [{"s3_secret_access_key": SECRET, "headers": {"Authorization": [SECRET]}}],
        "token": SECRET,
        "recovery_codes": [SECRET],
        "api_key_id": "key_1",
        "prompt_tokens": 5,
        "has_password": True,
        "password_changed": "yes",
        "secret": None,
    }
    found = redacted(given)
    assert SECRET not in str(found)
    assert {name: found[name] for name in list(given)[4:]} == {
        "api_key_id": "key_1", "prompt_tokens": 5, "has_password": True, "password_changed": "yes", "secret": None,
    }  # fmt: skip


def test_a_long_log_takes_no_longer_than_reading_it() -> None:
    """No pattern goes back and forth over what it has read."""
    import time

    for text in (
        "=" * 200_000,
        "password" * 20_000,
        "://a:" * 40_000,
        '"password": "' + "\\" * 100_000,
        "a-" * 100_000,
    ):
        started_at = time.perf_counter()
        redacted_text(text)
        assert time.perf_counter() - started_at < 1.5, text[:20]
