"""Where a deed came from, set at the edge for as long as a request lasts."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    request_id: str | None = None
    client_address: str | None = None
    user_agent: str | None = None
    """The header as it was sent."""


origin: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039 - frozen

_MAX_FAMILY_CHARS = 40
# the first that is found in a header names the program: browsers claim to be their ancestors as well
_FAMILIES = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("OpenAI/Python", "openai-python"),
    ("AsyncOpenAI/Python", "openai-python"),
    ("OpenAI/JS", "openai-node"),
)


@contextmanager
def coming_from(where: Origin) -> Iterator[None]:
    """What is recorded in this block comes from there."""
    token = origin.set(where)
    try:
        yield
    finally:
        origin.reset(token)


def user_agent_family(header: str | None) -> str | None:
    """The program without its version and its machine, which would tell more about a person than the log needs."""
    if not header:
        return None
    for mark, family in _FAMILIES:
        if mark in header:
            return family
    product = header.split("/", 1)[0].split(" ", 1)[0]
    shown = "".join(char for char in product if char.isprintable())
    return shown[:_MAX_FAMILY_CHARS] or None
