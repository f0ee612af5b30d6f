"""What to run on another machine so that it works for this installation."""

from typing import Final
from urllib.parse import SplitResult, urlsplit

from core.config import Settings

# a password never leaves the server: who may see jobs may not therefore read the database
_PASSWORD: Final = "PASSWORD"  # noqa: S105 - a word to be replaced
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def join_command(settings: Settings, *, secret: str) -> str:
    """With this installation's addresses; HOST stands for what only this machine calls by that name, and PASSWORD."""
    s3 = urlsplit(settings.s3_endpoint_url or f"https://s3.{settings.s3_region}.amazonaws.com")
    s3_key = f"{settings.s3_access_key_id or 'KEY'}:{_PASSWORD}@"
    return (
        f"tailorbird worker --database {_shown(urlsplit(settings.database_url))}"
        f" --redis {_shown(urlsplit(settings.redis_url))}"
        f" --s3 {s3.scheme}://{s3_key}{_place(s3)}/{settings.s3_bucket} --token {secret}"
    )


def _shown(url: SplitResult) -> str:
    password = f":{_PASSWORD}" if url.password else ""
    user = f"{url.username or ''}{password}@" if url.username or password else ""
    return f"{url.scheme}://{user}{_place(url)}{url.path}"


def _place(url: SplitResult) -> str:
    host = "HOST" if url.hostname is None or url.hostname in _LOOPBACK else url.hostname
    return f"{host}:{url.port}" if url.port else host
