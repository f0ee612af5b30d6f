"""Rows that are one message each, put together to conversations: by their id, in order, until the last answer.

Messages wait in a temporary file; of each only some thirty bytes are held in memory, so that a million take little.
"""

import hashlib
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator
from collections.abc import Mapping as Map
from pathlib import Path

import orjson

from core.datasets import rows
from core.datasets.formats.refusals import MAX_RECORD_BYTES
from core.datasets.times import Order, Times
from core.datasets.types import Mapping, Message, Problem, RowContent, Severity, Speaker

MAX_MESSAGES = 1000
_IN_MEMORY_BYTES = 64 * 1024 * 1024
_MAX_SPEAKERS_COUNTED = 1000
_MAX_SPEAKERS_SHOWN = 50
_MAX_SPEAKER_CHARS = 200
_NONE = -1


class Speakers:
    """Who of those who speak is the assistant, and who is passed over."""

    def __init__(self, mapping: Mapping) -> None:
        self._assistant = _Names(mapping.assistant_speakers)
        self._ignored = _Names(mapping.ignored_speakers)

    def is_assistant(self, speaker: str) -> bool:
        return speaker in self._assistant

    def is_ignored(self, speaker: str) -> bool:
        return speaker in self._ignored


class _Names:
    def __init__(self, values: list[str]) -> None:
        folded = {value.strip().casefold() for value in values}
        self._domains = tuple(value for value in folded if value.startswith("@"))
        self._names = folded

    def __contains__(self, speaker: str) -> bool:
        folded = speaker.strip().casefold()
        # "Ana <ana@example.com>" too
        return folded in self._names or (bool(self._domains) and folded.rstrip(">").endswith(self._domains))


class Heard:
    """Who speaks, and how often."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, speaker: str) -> None:
        # JSON can spell a zero character that no text column can hold
        value = speaker.strip()[:_MAX_SPEAKER_CHARS].replace("\0", "")
        if value and (value in self._counts or len(self._counts) < _MAX_SPEAKERS_COUNTED):
            self._counts[value] += 1

    def most(self) -> list[Speaker]:
        found = self._counts.most_common(_MAX_SPEAKERS_SHOWN)
        return [Speaker(value=value, num_messages=num_messages) for value, num_messages in found]


class Threads:
    """`add` every row, then read the `conversations`, once each; `close` in any case."""

    def __init__(self, mapping: Mapping, *, scratch: Path | None = None) -> None:
        """The mapping is of threads and complete. `scratch` is a folder for what does not fit into memory."""
        self._mapping = mapping
        self._speakers = Speakers(mapping)
        folder = None if scratch is None else str(scratch)
        self._spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES, dir=folder)  # noqa: SIM115 - see close
        self.heard = Heard()
        # of each conversation
        self._numbers: dict[bytes, int] = {}
        self._first_rows, self._last_messages = array("i"), array("i")
        self._sizes, self._lengths = array("q"), array("i")
        self._untimed: dict[int, int] = {}
        # of each message
        self._offsets, self._before = array("q"), array("i")
        self._times = Times()

    def close(self) -> None:
        self._spool.close()

    def add(self, row: int, values: Map[str, str]) -> Problem | None:
        """What is wrong with a row that belongs to no conversation, or whose speaker nobody knows."""
        mapping = self._mapping
        key, speaker = (_value(values, name).strip() for name in (mapping.conversation, mapping.speaker))
        if not key or not speaker:
            return rows.empty(row, (mapping.conversation if not key else mapping.speaker) or "")
        self.heard.add(speaker)
        number = self._number_of(key, row)
        said = rows.clean(_value(values, mapping.message))
        if said and not self._speakers.is_ignored(speaker):
            self._add_message(number, row, said, values, is_assistant=self._speakers.is_assistant(speaker))
        return None

    def conversations(self) -> Iterator[tuple[int, RowContent | Problem, float | None]]:
        """Each with its first row, in the order of these, and the time of its last message if that is known."""
        key = self._times.orders() if self._mapping.time is not None else None
        for number, row in enumerate(self._first_rows):
            found = self._too_large(number, row) or self._untimely(number) or self._read(number, row, key)
            yield row, found, None if key is None or isinstance(found, Problem) else self._last_time(number)

    def _last_time(self, number: int) -> float:
        """Of a conversation with messages, all of whose times can be read."""
        moments = self._times.moments()
        return max(moments[message] for message in self._messages_of(number))

    def _messages_of(self, number: int) -> Iterator[int]:
        """From the last on."""
        message = self._last_messages[number]
        while message != _NONE:
            yield message
            message = self._before[message]

    def _number_of(self, key: str, row: int) -> int:
        # ids may be long; digests are not
        digest = hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=16).digest()
        number = self._numbers.setdefault(digest, len(self._numbers))
        if number == len(self._first_rows):
            self._first_rows.append(row)
            self._last_messages.append(_NONE)
            self._sizes.append(0)
            self._lengths.append(0)
        return number

    def _add_message(self, number: int, row: int, said: str, values: Map[str, str], *, is_assistant: bool) -> None:
        mapping = self._mapping
        if mapping.time is not None and not self._times.add(_value(values, mapping.time)):
            self._untimed.setdefault(number, row)
        line = orjson.dumps([is_assistant, said, _value(values, mapping.system)])
        self._before.append(self._last_messages[number])
        self._last_messages[number] = len(self._offsets)
        self._offsets.append(self._spool.tell())
        self._sizes[number] += len(line)
        self._lengths[number] += 1
        self._spool.write(line + b"\n")

    def _too_large(self, number: int, row: int) -> Problem | None:
        if self._sizes[number] <= MAX_RECORD_BYTES and self._lengths[number] <= MAX_MESSAGES:
            return None
        return _error(
            row,
            self._mapping.conversation,
            "conversation_too_long",
            f"{self._lengths[number]:,} rows make one conversation; at most {MAX_MESSAGES:,}, and 1 MiB, are read.",
            "Choose the column that is different for every conversation.",
        )

    def _untimely(self, number: int) -> Problem | None:
        row = self._untimed.get(number)
        if row is None:
            return None
        return _error(
            self._first_rows[number],
            self._mapping.time,
            "time_unreadable",
            f"The time in row {row} cannot be read, so the order of this conversation is not known.",
            "Write times like 2026-11-28 14:05, or choose no column for the time if the rows are in order.",
        )

    def _read(self, number: int, row: int, key: Order | None) -> RowContent | Problem:
        found = list(self._messages_of(number))
        # without a time, in the file's order
        found.sort(key=key)
        messages: list[Message] = []
        system = self._mapping.system_text or ""
        for message in found:
            self._spool.seek(self._offsets[message])
            is_assistant, said, told = orjson.loads(self._spool.readline())
            system = system or told.strip()
            _say(messages, "assistant" if is_assistant else "user", said)
        return self._learnable(row, messages, system)

    def _learnable(self, row: int, messages: list[Message], system: str) -> RowContent | Problem:
        while messages and messages[-1]["role"] != "assistant":
            messages.pop()
        # nobody asked for what is said first
        while messages and messages[0]["role"] != "user":
            messages.pop(0)
        if not messages:
            return _error(
                row,
                self._mapping.conversation,
                "no_answer",
                "In this conversation nobody asks and is then answered.",
                "It is left out as it is. If somebody answers in it, check who is on your side.",
            )
        if system:
            messages.insert(0, Message(role="system", content=system))
        return RowContent(messages=messages)


def _say(messages: list[Message], role: str, said: str) -> None:
    """What one side says in several messages is one."""
    if messages and messages[-1]["role"] == role:
        messages[-1]["content"] = f"{messages[-1]['content']}\n\n{said}"
    else:
        messages.append(Message(role="assistant" if role == "assistant" else "user", content=said))


def _value(values: Map[str, str], name: str | None) -> str:
    return "" if name is None else values.get(name, "")


def _error(row: int, column: str | None, code: str, cause: str, fix: str) -> Problem:
    return Problem(row=row, column=column, code=code, cause=cause, fix=fix, severity=Severity.ERROR)
