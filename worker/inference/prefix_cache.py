"""What was read before is not read again: keys and values of prompts and their answers, by the tokens that they are of.

A conversation comes back longer by one turn, and many begin with the same system prompt. The longest beginning that is
known is copied into a sequence's row, and only the rest is read.

Known to one workspace and one adapter alone: another's would tell, by the time that an answer takes, what somebody else
has asked. Nor does one workspace's stream of prompts push out what others come back to.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from worker.inference.kv_cache import KeyValues

# fewer are read sooner than they are looked for
MIN_TOKENS: Final = 16
# a workspace's share is kept for whoever comes back soon, and not for one that has gone home
MAX_PAUSE_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose prompt it was, and what it was read with: the digest of an adapter, or nothing."""

    workspace_id: str
    adapter_digest: str | None


@dataclass(slots=True)
class _Prefix:
    owner: Owner
    token_ids: tuple[int, ...]
    kept: KeyValues
    num_bytes: int
    used_s: float


@dataclass(slots=True)
class _Holding:
    """Of one workspace; the least recently used first."""

    prefixes: OrderedDict[int, _Prefix]
    num_bytes: int = 0


class PrefixCache:
    """At most `max_bytes`. Belongs to the scheduler's thread.

    Where there are more, the least recently used goes, but for those of a workspace that holds no more than its share
    and came back to them within `MAX_PAUSE_S`. A share is all of it, divided by the workspaces that hold anything: one
    alone may have everything.
    """

    def __init__(self, *, max_bytes: int, clock: Callable[[], float] = monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._num_bytes = 0
        self._holdings: dict[str, _Holding] = {}
        self._num_made = 0

    @property
    def num_bytes(self) -> int:
        return self._num_bytes

    def longest(self, owner: Owner, token_ids: Sequence[int]) -> tuple[KeyValues, int] | None:
        """Whatever is known of the beginning of these tokens, and how many of them it is good for."""
        key, num = self._best(owner, token_ids)
        if key is None or num < MIN_TOKENS:
            return None
        return self._use(owner, key).kept, num

    def keep(self, owner: Owner, token_ids: Sequence[int], copy: Callable[[], KeyValues]) -> None:
        """`copy` is called if it is worth it. A prefix that these tokens begin with gives its place to them."""
        key, num = self._best(owner, token_ids)
        if len(token_ids) < MIN_TOKENS:
            return
        if key is not None and num == len(token_ids):
            self._use(owner, key)
            return
        if key is not None and num == len(self._holdings[owner.workspace_id].prefixes[key].token_ids):
            self._forget(owner.workspace_id, key)
        self._add(owner, token_ids, copy())
        while self._num_bytes > self._max_bytes:
            workspace_id = self._who_gives()
            self._forget(workspace_id, next(iter(self._holdings[workspace_id].prefixes)))

    def _best(self, owner: Owner, token_ids: Sequence[int]) -> tuple[int | None, int]:
        best: tuple[int | None, int] = (None, 0)
        holding = self._holdings.get(owner.workspace_id)
        for key, prefix in holding.prefixes.items() if holding else ():
            if prefix.owner == owner and (num := _num_common(prefix.token_ids, token_ids)) > best[1]:
                best = (key, num)
        return best

    def _use(self, owner: Owner, key: int) -> _Prefix:
        prefixes = self._holdings[owner.workspace_id].prefixes
        prefixes.move_to_end(key)
        prefixes[key].used_s = self._clock()
        return prefixes[key]

    def _add(self, owner: Owner, token_ids: Sequence[int], kept: KeyValues) -> None:
        prefix = _Prefix(owner, tuple(token_ids), kept, kept.num_bytes, self._clock())
        holding = self._holdings.setdefault(owner.workspace_id, _Holding(OrderedDict()))
        holding.prefixes[self._num_made] = prefix
        holding.num_bytes += prefix.num_bytes
        self._num_bytes += prefix.num_bytes
        self._num_made += 1

    def _who_gives(self) -> str:
        """The workspace whose least recently used one goes. As it is too much, somebody holds more than their share."""
        num_holding = len(self._holdings)
        spared_since_s = self._clock() - MAX_PAUSE_S
        oldest_s, found = math.inf, ""
        for workspace_id, holding in self._holdings.items():
            used_s = next(iter(holding.prefixes.values())).used_s
            if used_s < oldest_s and (holding.num_bytes * num_holding > self._max_bytes or used_s < spared_since_s):
                oldest_s, found = used_s, workspace_id
        return found

    def _forget(self, workspace_id: str, key: int) -> None:
        holding = self._holdings[workspace_id]
        num_bytes = holding.prefixes.pop(key).num_bytes
        holding.num_bytes -= num_bytes
        self._num_bytes -= num_bytes
        if not holding.prefixes:
            del self._holdings[workspace_id]


def _num_common(first: Sequence[int], second: Sequence[int]) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(first), len(second)))
