"""A TCP proxy that misbehaves on demand, to stand before Postgres, Valkey and S3. Its faults switch at run time.

It runs on an event loop in a thread of its own. `faults` is plain data that the loop reads as bytes pass: a test sets a
field, and the next byte feels it. With `is_http` it sees requests: each gets a connection of its own (a `Connection:
close` is slipped in; S3 does not sign that header), so a request can be refused or damaged by what it asks.
"""

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from tests.faults.proxy_rules import Faults, Passage, Rule

_CHUNK_BYTES = 64 * 1024
_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_LINGER_S = 60


class FaultProxy:
    def __init__(self, target: tuple[str, int], *, is_http: bool = False, seed: int = 0) -> None:
        self._target, self._is_http = target, is_http
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{target[1]}", daemon=True)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.faults = Faults()
        self.counts: Counter[str] = Counter()
        """connections, refused_by_target, swallowed, bytes_up, bytes_down, requests, and each action of a rule."""

    def start(self) -> None:
        self._thread.start()
        self._await(self._listen())

    def stop(self) -> None:
        self._await(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def heal(self) -> None:
        """No faults from here on. Connections that a black hole swallowed stay dead without a word, as in life."""
        self.faults = Faults()
        if self._server is None:
            self._await(self._listen())

    def refuse(self) -> None:
        """Nothing listens any more, and what was open is reset."""
        self._await(self._close_listener())
        self.reset_connections()

    def reset_connections(self) -> int:
        """RST to every client that is connected; how many."""
        num_reset: int = self._await(self._reset_all())
        return num_reset

    def _await(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever the work answers
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close_listener(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _reset_all(self) -> int:
        for writer in list(self._open):
            _reset(writer)
        return len(self._open)

    async def _shut(self) -> None:
        await self._close_listener()
        await self._reset_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts["connections"] += 1
        self._open.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._connect(reader, writer)
        finally:
            _reset(writer)
            self._open.discard(writer)
            self._tasks.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.faults.black_hole:
            await self._swallow(reader)
            return
        head, rule = b"", None
        if self._is_http:
            head = await reader.readuntil(b"\r\n\r\n")
            self.counts["requests"] += 1
            rule = self._rule_for(head)
            head = head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        if rule is not None and rule.action == "503":
            await _answer_slow_down(reader, writer)
        if rule is not None and rule.action in {"503", "reset"}:
            return
        try:
            to_target = await asyncio.open_connection(*self._target)
        except OSError:
            self.counts["refused_by_target"] += 1
            return
        to_target[1].write(head)
        await self._pass(reader, writer, to_target, Passage(rule))

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        to_target: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        passage: Passage,
    ) -> None:
        target_reader, target_writer = to_target
        self._open.add(target_writer)
        up = asyncio.create_task(self._pump_up(reader, target_writer, passage))
        down = asyncio.create_task(self._pump_down(target_reader, writer, passage))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if not down.done() and not passage.is_broken and up.exception() is None:
                # a client that closed its side still gets its answer, and the server learns that it closed
                target_writer.write_eof()
                await asyncio.wait({down}, timeout=_LINGER_S)
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            self._open.discard(target_writer)
            _reset(target_writer) if passage.is_broken else target_writer.close()
        if not passage.is_broken:
            await writer.drain()
            writer.close()

    async def _pump_up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passage: Passage) -> None:
        sent = 0
        while chunk := await reader.read(_CHUNK_BYTES):
            if not self._is_http and passage.rule is None:
                passage.rule = self._rule_for(chunk)
                if passage.rule is not None and passage.rule.action == "reset":
                    passage.is_broken = True
                    return
            await self._delay(len(chunk))
            if self.faults.black_hole:
                await self._swallow(reader)
                passage.is_broken = True
                return
            rule = passage.rule
            if rule is not None and rule.action == "cut" and sent + len(chunk) > rule.after_bytes:
                writer.write(chunk[: max(0, rule.after_bytes - sent)])
                await writer.drain()
                passage.is_broken = True
                return
            sent += len(chunk)
            self.counts["bytes_up"] += len(chunk)
            writer.write(chunk)
            await writer.drain()

    async def _pump_down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passage: Passage) -> None:
        received = 0
        while chunk := await reader.read(_CHUNK_BYTES):
            rule, faults = passage.rule, self.faults
            if rule is not None and rule.action == "lose_reply":
                passage.is_broken = True
                return
            await self._delay(len(chunk))
            if faults.half_close:
                writer.write_eof()
                await asyncio.Event().wait()
            if self.faults.black_hole:
                await asyncio.Event().wait()
            if rule is not None and rule.action == "corrupt":
                chunk = passage.damaged(chunk)
            if faults.cut_after_bytes is not None and received + len(chunk) > faults.cut_after_bytes:
                writer.write(chunk[: max(0, faults.cut_after_bytes - received)])
                await writer.drain()
                passage.is_broken = True
                return
            received += len(chunk)
            self.counts["bytes_down"] += len(chunk)
            writer.write(chunk)
            await writer.drain()

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        self.counts["swallowed"] += 1
        while await reader.read(_CHUNK_BYTES):
            pass

    async def _delay(self, num_bytes: int) -> None:
        faults = self.faults
        wait_s = faults.latency_s + (self._random.uniform(0, faults.jitter_s) if faults.jitter_s else 0)
        if faults.bytes_per_s:
            wait_s += num_bytes / faults.bytes_per_s
        if wait_s:
            await asyncio.sleep(wait_s)

    def _rule_for(self, head: bytes) -> Rule | None:
        for rule in self.faults.rules:
            if rule.times != 0 and rule.when(head) and self._random.random() < rule.probability:
                if rule.times is not None:
                    rule.times -= 1
                self.counts[rule.action] += 1
                return rule
        return None


def _reset(writer: asyncio.StreamWriter) -> None:
    if writer.is_closing():
        return
    connection: socket.socket = writer.get_extra_info("socket")
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _answer_slow_down(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = f"HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: {len(_SLOW_DOWN)}\r\n\r\n"
    writer.write(head.encode() + _SLOW_DOWN)
    await writer.drain()
    writer.write_eof()
    # read what the client still sends: an RST before it has read the answer would be another fault than the one asked
    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            while await reader.read(_CHUNK_BYTES):
                pass
