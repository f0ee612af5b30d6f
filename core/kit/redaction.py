"""Takes secrets out of what is kept or shown: by the name that a value stands under, and by what secrets look like.

A net below the rule that nobody logs a secret, for the cases that nobody thought of: an exception of a library that
quotes an address with its password, a header in a dump.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

REDACTED = "[redacted]"

# whole names or their last part: `smtp_password`, `s3_secret_access_key`. Counts such as `prompt_tokens` are none, nor
# is the `pad_token` of a tokenizer.
_NAMES = (
    r"password|passwd|passphrase|secret|authorization|cookie|api_?key|private_key|secret_key|access_key|signature"
    r"|credentials?|recovery_codes?|totp_code|(?:access|refresh|id|auth|session|csrf|reset|invite|worker|inference|hf)"
    r"[_-]token"
)
_NAME = re.compile(rf"^token$|(?:^|[_-])(?:{_NAMES})$", re.IGNORECASE)
# what no pattern below can do without: most texts that are logged have none of it
_HINT = re.compile(r"[=:,$ ]|tb_|whs|sk-|hf_|gh[pousr]_|xox|AKIA|eyJ")

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        # ours, and those of services that people bring: they say by their beginning what they are
        (r"\b(tb_[a-z]+_|whsec_|whsk_|sk-|hf_|gh[pousr]_|xox[abp]-|AKIA)[A-Za-z0-9+/=_-]{8,}", rf"\1{REDACTED}"),
        (r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", rf"\1 {REDACTED}"),
        (r"\b(__Host-)?(tailorbird_[a-z]+)=[^;\s'\",]+", rf"\1\2={REDACTED}"),
        (r"\b((?:set-)?cookie['\"]?\s*[:,]\s*(?:b?['\"])?)[^\r\n'\"]+", rf"\1{REDACTED}"),
        # user and password of an address
        (r"(://[^\s:/@'\"]*):[^\s/@'\"]+@", rf"\1:{REDACTED}@"),
        # of a query: what gives access to an object, a sign-in, a reset
        (
            (
                r"([?&](?:X-Amz-(?:Signature|Credential|Security-Token)|AWSAccessKeyId|code|state|token|"
                rf"[a-z0-9_-]{{0,40}}(?:{_NAMES})))=[^&\s'\"<>]+"
            ),
            rf"\1={REDACTED}",
        ),
        # in JSON, in Python's repr, in an assignment and in the words that libpq connects by
        (
            rf"((['\"])(?:[a-z0-9_-]{{0,40}}[_-])?(?:{_NAMES})\2\s*[:,]\s*b?)(['\"])(?:\\.|(?!\3)[^\\])*+\3",
            rf"\1\3{REDACTED}\3",
        ),
        (
            rf"\b((?:[a-z0-9]{{1,20}}[_-]){{0,5}}(?:{_NAMES})\s*=\s*)(['\"])(?:\\.|(?!\2)[^\\])*+\2",
            rf"\1\2{REDACTED}\2",
        ),
        (rf"\b((?:[a-z0-9]{{1,20}}[_-]){{0,5}}(?:{_NAMES})\s*=\s*)(?!\[redacted)[^\s'\",;&)]+", rf"\1{REDACTED}"),
        (r"\$argon2id?\$[^\s'\"]+", REDACTED),
        (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", REDACTED),
        (r"otpauth://[^\s'\"]+", REDACTED),
        (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", REDACTED),
    )
)


def redacted_text(text: str) -> str:
    if not _HINT.search(text):
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redacted(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same with every secret in it replaced, however deep; what is no text, mapping or list is left as it is."""
    if isinstance(value, str):
        return redacted_text(value)
    if isinstance(value, Mapping):
        return {name: _under(name, item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    return value


def _under(name: object, value: Any) -> Any:  # noqa: ANN401 - any JSON
    if value and isinstance(value, str | bytes | list | tuple | Mapping):
        return REDACTED if isinstance(name, str) and _is_secret(name) else redacted(value)
    return value


@lru_cache(maxsize=1000)
def _is_secret(name: str) -> bool:
    return _NAME.search(name) is not None
