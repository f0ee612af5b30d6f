"""A multipart body read as it arrives: the file part goes straight to its receiver, never whole into memory."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from core.errors import Invalid

_BATCH_BYTES = 1024 * 1024
_MAX_FIELD_BYTES = 4096
_MAX_PARTS = 10
_MAX_HEADER_BYTES = 8192


class Receiver(Protocol):
    """Where the bytes of the file part go."""

    def feed(self, chunk: bytes) -> bool:
        """Take more bytes. False when no more are wanted."""

    def close(self) -> None:
        """Drop them."""


R = TypeVar("R", bound=Receiver)


@dataclass(slots=True)
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: str = ""
    is_file: bool = False
    value: bytearray = field(default_factory=bytearray)


class FileForm(Generic[R]):
    """A form with one large part and small fields. `receive` is called with the part's file name when it begins.

    Everything that works on bytes runs in `take`, which a thread is given a mebibyte at a time, so that the event
    loop stays free.
    """

    def __init__(
        self, content_type: str, receive: Callable[[str], R], *, part: str = "file", needs_filename: bool = True
    ) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise _malformed("Send the file as multipart/form-data.")
        self.fields: dict[str, str] = {}
        self.received: R | None = None
        self.is_wanted = True
        self._receive = receive
        self._name, self._needs_filename = part, needs_filename
        self._part = _Part()
        self._num_parts = 0
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._is_complete = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_part_data": self._take_data,
                    "on_part_end": self._end_part,
                    "on_header_field": self._take_header_name,
                    "on_header_value": self._take_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _malformed(f"The form is not well-formed: {error}.") from error

    async def read(self, chunks: AsyncIterator[bytes]) -> R:
        """The receiver with all the bytes, or with as many as show that it will be refused."""
        batch = bytearray()
        async for chunk in chunks:
            batch += chunk
            if len(batch) >= _BATCH_BYTES:
                await run_in_threadpool(self.take, bytes(batch))
                batch.clear()
            if not self.is_wanted:
                break
        if self.is_wanted:
            await run_in_threadpool(self.take, bytes(batch))
        return self._finished()

    def take(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise _malformed(f"The form is not well-formed: {error}.") from error

    def close(self) -> None:
        """Drop what arrived."""
        if self.received is not None:
            self.received.close()

    def _finished(self) -> R:
        if self.received is None:
            with_name = " with a file name" if self._needs_filename else ""
            raise Invalid(
                f"The form has no part called {self._name}{with_name}.", code="file_missing", param=self._name
            )
        if self.is_wanted and not self._is_complete:
            raise _malformed("The form ended too early; the upload was cut off.")
        return self.received

    def _begin_part(self) -> None:
        self._num_parts += 1
        if self._num_parts > _MAX_PARTS:
            raise _malformed(f"The form has more than {_MAX_PARTS} parts.")
        self._part = _Part()

    def _take_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _take_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]
        if len(self._header_value) > _MAX_HEADER_BYTES:
            raise _malformed("A part's header is too long.")

    def _end_header(self) -> None:
        self._part.headers[bytes(self._header_name).lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._part.headers.get(b"content-disposition", b""))
        self._part.name = options.get(b"name", b"").decode("utf-8", "replace")
        filename = options.get(b"filename")
        if self._part.name == self._name and (filename is not None or not self._needs_filename):
            if self.received is not None:
                raise Invalid("Send one file at a time.", code="too_many_files", param=self._name)
            self._part.is_file = True
            self.received = self._receive((filename or b"").decode("utf-8", "replace"))

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.is_file and self.received is not None:
            self.is_wanted = self.is_wanted and self.received.feed(data[start:end])
            return
        self._part.value += data[start:end]
        if len(self._part.value) > _MAX_FIELD_BYTES:
            raise _malformed(f"The field {self._part.name[:40]!r} is too long.")

    def _end_part(self) -> None:
        if not self._part.is_file:
            self.fields[self._part.name] = bytes(self._part.value).decode("utf-8", "replace")

    def _end(self) -> None:
        self._is_complete = True


def _malformed(message: str) -> Invalid:
    return Invalid(message, code="invalid_form", param="file")
