"""Passwords to machines: keys and tokens of services, found by their unmistakable forms."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

from core.datasets.health.detector import Detector, Look, Rule
from core.datasets.types import Fix, Problem, Severity

SECRET = Rule(
    code="secret",
    severity=Severity.WARNING,
    one="1 example contains what looks like a key or a token of a service.",
    many="{count} examples contain what looks like a key or a token of a service.",
    cause="There is what looks like a key or a token that opens a service.",
    advice="Remove it, and have it changed at the service: whoever has it can use it.",
    fixes=(Fix.MASK, Fix.LEAVE_OUT),
)
PLACEHOLDER = "[secret]"
# without such a mark no pattern below can be found; looking for a plain text costs next to nothing
_MARKS: Final[tuple[tuple[type[RegexBasedDetector], tuple[str, ...]], ...]] = (
    (AWSKeyDetector, ("AKIA", "ASIA", "ABIA", "A3T", "aws", "AWS")),
    (GitHubTokenDetector, ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
    (GitLabTokenDetector, ("gl", "GR1348941")),
    (JwtTokenDetector, ("eyJ",)),
    (OpenAIDetector, ("T3BlbkFJ",)),
    (PypiTokenDetector, ("pypi-",)),
    (SendGridDetector, ("SG.",)),
    (SlackDetector, ("xox", "hooks.slack.com")),
    (SquareOAuthDetector, ("sq0csp",)),
    (StripeDetector, ("k_live_",)),
    (TelegramBotTokenDetector, (":AA",)),
    (TwilioKeyDetector, ("AC", "SK")),
)
_PLUGINS: Final = tuple((plugin(), marks) for plugin, marks in _MARKS)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END[^\n]*?-----|\Z)", re.DOTALL
)
_IN_ADDRESS = re.compile(r"://[^\s/:@\[\]{}<>$]+:([^\s/:@\[\]{}<>$]{3,})@")
_JWT_PARTS = 3


def secret_spans(text: str) -> Iterator[tuple[int, int]]:
    if "PRIVATE KEY" in text:
        yield from (found.span() for found in _PRIVATE_KEY.finditer(text))
    if "://" in text and "@" in text:
        yield from (found.span(1) for found in _IN_ADDRESS.finditer(text))
    for plugin, marks in _PLUGINS:
        if any(mark in text for mark in marks):
            secrets = set(plugin.analyze_string(text))
            for secret in secrets:
                # a token of three parts: "eyJ" alone begins the same in any base64 of JSON
                if isinstance(plugin, JwtTokenDetector) and secret.count(".") != _JWT_PARTS - 1:
                    continue
                yield from (found.span() for found in re.finditer(re.escape(secret), text))


def mask_secrets(text: str) -> str:
    end_of_last = len(text) + 1
    for start, end in sorted(set(secret_spans(text)), reverse=True):
        if end <= end_of_last:
            text = text[:start] + PLACEHOLDER + text[end:]
            end_of_last = start
    return text


class Secrets(Detector):
    rules = (SECRET,)

    def problems(self, row: Look) -> Iterable[Problem]:
        if next(secret_spans(row.words), None) is not None:
            yield SECRET.problem(row.number)
