r"""Each event's hash covers the event and the hash before it: none is changed, removed, added or moved unseen.

    hash = sha256(hash of the event before + "\n" + canonical encoding), in hexadecimal; before the first, 64 zeros

The encoding is a JSON list in a fixed order without spaces, its first element the version of the encoding; objects have
their keys sorted, and whole numbers are written as integers, for the database does not keep `1.0` and `1e0` apart.
Who can rewrite a whole table can rewrite a whole chain: note its newest hash elsewhere from time to time
(`Anchor`; it is in every log line of an appended event).
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any

from core.audit.types import Anchor, Break, Fault, Link
from core.kit.hashing import sha256_bytes

VERSION = 1
GENESIS = "0" * 64


def next_hash(previous: str, link: Link) -> str:
    return sha256_bytes(f"{previous}\n{_encoded(link)}".encode())


def plain_details(details: Mapping[str, Any]) -> dict[str, Any]:
    """Details as they will be read from the database again."""
    found: dict[str, Any] = json.loads(json.dumps(details))
    return found


class Walk:
    """Goes along a chain, event by event, and remembers the first that does not fit."""

    def __init__(self, *, after_sequence: int, after_hash: str, anchors: Iterable[Anchor] = ()) -> None:
        self.sequence = after_sequence
        self.hash = after_hash
        self.num_checked = 0
        self.first_break: Break | None = None
        self._anchors = {anchor.sequence: anchor.hash for anchor in anchors}

    def take(self, link: Link, stored_hash: str) -> None:
        if self.first_break is not None:
            return
        expected = self.sequence + 1
        if link.sequence != expected:
            self.first_break = Break(expected, Fault.MISSING, None)
            return
        if next_hash(self.hash, link) != stored_hash:
            self.first_break = Break(expected, Fault.CHANGED, link.event_id)
            return
        if self._anchors.pop(expected, stored_hash) != stored_hash:
            self.first_break = Break(expected, Fault.REPLACED, link.event_id)
            return
        self.sequence, self.hash = expected, stored_hash
        self.num_checked += 1

    def arrive(self, *, head_sequence: int, head_hash: str) -> None:
        """Compare the end of the walk with where the chain says that it ends."""
        if self.first_break is not None:
            return
        noted_beyond = [sequence for sequence in self._anchors if sequence > self.sequence]
        if self.sequence < head_sequence or noted_beyond:
            self.first_break = Break(self.sequence + 1, Fault.CUT_OFF, None)
        elif self.sequence > head_sequence:
            self.first_break = Break(head_sequence + 1, Fault.UNKNOWN, None)
        elif self.hash != head_hash:
            self.first_break = Break(self.sequence, Fault.CHANGED, None)


def _encoded(link: Link) -> str:
    fields = [
        VERSION,
        link.chain_id,
        link.sequence,
        link.event_id,
        link.created_at.astimezone(UTC).isoformat(timespec="microseconds"),
        link.workspace_id,
        link.actor_user_id,
        link.actor_api_key_id,
        link.actor_name,
        link.action,
        link.target_id,
        link.request_id,
        link.client_address,
        link.user_agent,
        _canonical(dict(link.details)),
    ]
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


def _canonical(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return value
