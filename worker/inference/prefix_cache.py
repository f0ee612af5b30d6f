"""What was read before is not read again: keys and values of prompts and their answers, by the tokens that they are of.

A conversation comes back longer by one turn, and many begin with the same system prompt. The longest beginning that is
known is copied into a sequence's row, and only the rest is read.

Known to one workspace and one adapter alone: another's would tell, by the time that an answer takes, what somebody else
has asked.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from worker.inference.kv_cache import KeyValues

# fewer are read sooner than they are looked for
MIN_TOKENS: Final = 16


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose prompt it was, and what it was read with: the digest of an adapter, or nothing."""

    workspace_id: str
    adapter_digest: str | None


@dataclass(frozen=True, slots=True)
class _Prefix:
    owner: Owner
    token_ids: tuple[int, ...]
    kept: KeyValues


class PrefixCache:
    """At most `max_bytes`, the least recently used go first. Belongs to the scheduler's thread."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._prefixes: OrderedDict[int, _Prefix] = OrderedDict()
        self._num_made = 0

    @property
    def num_bytes(self) -> int:
        return self._num_bytes

    def longest(self, owner: Owner, token_ids: Sequence[int]) -> tuple[KeyValues, int] | None:
        """Whatever is known of the beginning of these tokens, and how many of them it is good for."""
        key, num = self._best(owner, token_ids)
        if key is None or num < MIN_TOKENS:
            return None
        self._prefixes.move_to_end(key)
        return self._prefixes[key].kept, num

    def keep(self, owner: Owner, token_ids: Sequence[int], copy: Callable[[], KeyValues]) -> None:
        """`copy` is called if it is worth it. A prefix that these tokens begin with gives its place to them."""
        key, num = self._best(owner, token_ids)
        if len(token_ids) < MIN_TOKENS:
            return
        if key is not None and num == len(token_ids):
            self._prefixes.move_to_end(key)
            return
        if key is not None and num == len(self._prefixes[key].token_ids):
            self._forget(key)
        prefix = _Prefix(owner, tuple(token_ids), copy())
        self._prefixes[self._num_made] = prefix
        self._num_made += 1
        self._num_bytes += prefix.kept.num_bytes
        while self._num_bytes > self._max_bytes:
            self._forget(next(iter(self._prefixes)))

    def _best(self, owner: Owner, token_ids: Sequence[int]) -> tuple[int | None, int]:
        best: tuple[int | None, int] = (None, 0)
        for key, prefix in self._prefixes.items():
            if prefix.owner == owner and (num := _num_common(prefix.token_ids, token_ids)) > best[1]:
                best = (key, num)
        return best

    def _forget(self, key: int) -> None:
        self._num_bytes -= self._prefixes.pop(key).kept.num_bytes


def _num_common(first: Sequence[int], second: Sequence[int]) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(first), len(second)))
