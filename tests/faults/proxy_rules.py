"""What a proxy does wrong: plain data that a drill sets and the proxy reads as bytes pass."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Action = Literal["503", "reset", "cut", "corrupt", "lose_reply"]


@dataclass(slots=True)
class Rule:
    """What becomes of the requests (`is_http`) or the chunks of a client that `when` picks, at most `times` of them.

    503: answered here, not forwarded. reset: not forwarded, RST. lose_reply: forwarded, RST once the server
    answers. cut: RST after `after_bytes` of the body. corrupt: one bit of the answer's body is flipped.
    """

    action: Action
    when: Callable[[bytes], bool] = lambda _head: True
    probability: float = 1.0
    times: int | None = None
    after_bytes: int = 0


@dataclass(slots=True)
class Faults:
    """Everything off is a plain proxy."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float | None = None
    black_hole: bool = False
    """Connections are accepted, and what is sent vanishes: no answer, no RST."""
    half_close: bool = False
    """The server's side of every connection is closed (FIN) at its next byte; the client's bytes still go through."""
    cut_after_bytes: int | None = None
    """RST after this many bytes of one connection, counted from the server to the client."""
    rules: list[Rule] = field(default_factory=list)


@dataclass(slots=True)
class Passage:
    """One connection on its way through."""

    rule: Rule | None
    is_broken: bool = False
    _head_is_past: bool = False
    _is_damaged: bool = False

    def damaged(self, chunk: bytes) -> bytes:
        """Flip one bit of the first byte of the body, once."""
        start = 0
        if not self._head_is_past:
            end = chunk.find(b"\r\n\r\n")
            self._head_is_past = end >= 0
            start = end + 4 if end >= 0 else len(chunk)
        if self._is_damaged or start >= len(chunk):
            return chunk
        self._is_damaged = True
        return chunk[:start] + bytes([chunk[start] ^ 1]) + chunk[start + 1 :]
