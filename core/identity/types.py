from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Browser:
    """What a browser says of itself, and where it is seen from. Nothing here is proof of anything."""

    user_agent: str | None = None
    address: str | None = None
