"""What is asked of the audit log, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

# of a chain that belongs to no workspace
INSTALLATION = "installation"


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """All that is given must hold. `action` may end in `.*`; `text` is looked for wherever there is text."""

    action: str | None = None
    actor: str | None = None
    """The id of a person or of an API key."""
    target: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One event as it is hashed."""

    chain_id: str
    sequence: int
    event_id: str
    created_at: datetime
    workspace_id: str | None
    actor_user_id: str
    actor_api_key_id: str | None
    actor_name: str
    action: str
    target_id: str
    request_id: str | None
    client_address: str | None
    user_agent: str | None
    details: Mapping[str, Any]


class Fault(StrEnum):
    """What is wrong with the first event that does not fit."""

    CHANGED = "changed"
    """It, its place or its hash is not what it was when it was written."""
    MISSING = "missing"
    """One or more events before it are gone."""
    CUT_OFF = "cut_off"
    """The chain was longer once: events at its end are gone."""
    UNKNOWN = "unknown"
    """It was never appended to the chain."""
    REPLACED = "replaced"
    """The chain fits together, but is not the one whose hash was noted elsewhere."""


@dataclass(frozen=True, slots=True)
class Break:
    sequence: int
    fault: Fault
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Anchor:
    """A hash of a chain that was noted where the database cannot reach."""

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look at every event from `first_sequence` on found. `first_break` is None while all of them fit."""

    chain_id: str
    sequence: int
    hash: str
    first_sequence: int
    num_checked: int
    since: datetime | None
    first_break: Break | None
