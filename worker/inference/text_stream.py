"""From tokens to text that may be sent: whole characters only, and never a part of a stop string.

Nor an empty block of reasoning: models such as Qwen3 learn to begin an answer with it, since their chat template puts
it there, and nobody wants to read it. Reasoning that holds words is a part of the answer.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

_BROKEN: Final = "\N{REPLACEMENT CHARACTER}"
# a character has at most four bytes; what is still broken after more tokens than that is broken for good
_MAX_WAITING_TOKENS: Final = 6
_OPENING, _CLOSING = "<think>", "</think>"
_NO_REASONING: Final = re.compile(rf"{_OPENING}\s*{_CLOSING}\s*")


class TextStream:
    def __init__(self, decode: Callable[[Sequence[int]], str], stops: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stops = stops
        self._ids: list[int] = []
        # decoding starts a little before the new tokens, since a token's text depends on the one before it
        self._window_begin = 0
        self._num_decoded = 0
        self._beginning: str | None = ""
        """Held back while it may become an empty block of reasoning; None once that is decided."""
        self._held = ""
        self.is_stopped = False
        # in characters of all that was decoded: what is shown lies between the first two, the rest is held back
        self.num_dropped = 0
        self.num_passed = 0
        self.num_read = 0

    def push(self, token_id: int) -> str:
        """Take a token; returns the text that became certain. Sets `is_stopped` when a stop string is complete."""
        self._ids.append(token_id)
        is_overdue = len(self._ids) - self._num_decoded > _MAX_WAITING_TOKENS
        return self._release(self._without_empty_reasoning(self._take_decoded(even_broken=is_overdue)))

    def finish(self) -> str:
        """The rest, when no more tokens will come."""
        text = self._release(self._without_empty_reasoning(self._take_decoded(even_broken=True), is_last=True))
        rest = "" if self.is_stopped else self._held
        self._held = ""
        self.num_passed += len(rest)
        return text + rest

    def _take_decoded(self, *, even_broken: bool) -> str:
        before = self._decode(self._ids[self._window_begin : self._num_decoded])
        text = self._decode(self._ids[self._window_begin :])
        if text.endswith(_BROKEN) and not even_broken:
            return ""
        self._window_begin, self._num_decoded = self._num_decoded, len(self._ids)
        self.num_read += len(text) - len(before)
        return text[len(before) :]

    def _without_empty_reasoning(self, text: str, *, is_last: bool = False) -> str:
        if self._beginning is None:
            return text
        self._beginning += text
        if _may_be_no_reasoning(self._beginning) and not is_last:
            return ""
        decided, self._beginning = self._beginning, None
        empty = _NO_REASONING.match(decided)
        self.num_dropped = self.num_passed = empty.end() if empty else 0
        return decided[self.num_dropped :]

    def _release(self, text: str) -> str:
        if self.is_stopped:
            return ""
        self._held += text
        ends = [begin for stop in self._stops if (begin := self._held.find(stop)) >= 0]
        if ends:
            self.is_stopped = True
            released, self._held = self._held[: min(ends)], ""
        else:
            num_kept = self._num_possible_stop_chars()
            released = self._held[: len(self._held) - num_kept]
            self._held = self._held[len(released) :]
        self.num_passed += len(released)
        return released

    def _num_possible_stop_chars(self) -> int:
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0


def _may_be_no_reasoning(beginning: str) -> bool:
    """Whether more text can make, or lengthen, an empty block of reasoning of it."""
    inside = beginning.removeprefix(_OPENING).lstrip()
    if not beginning.startswith(_OPENING):
        return _OPENING.startswith(beginning)
    return _CLOSING.startswith(inside) or not inside.removeprefix(_CLOSING).strip()
