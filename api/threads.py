"""The threads that requests are worked on in: one hop to one of them, and back with the answer.

An executor of the standard library would do too, at several times the cost of a hop.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

_Answer = TypeVar("_Answer")

# as many as a process has connections to the database, and some for whoever asks who is asking
_NUM_THREADS = 48


async def in_thread(work: Callable[[], _Answer]) -> _Answer:
    """What `work` answers or raises, in the context of whoever asks. It is not left alone: a cancel waits for it."""
    hop = _Hop(work)
    _threads.put(hop)
    try:
        answer: _Answer = await hop.answer
    except asyncio.CancelledError:
        await hop.wait()
        raise
    return answer


class _Hop:
    def __init__(self, work: Callable[[], Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._context: Context = copy_context()
        self._work = work
        self._is_over = False
        self._waiter: asyncio.Future[None] | None = None
        self.answer: asyncio.Future[Any] = self._loop.create_future()

    def run(self) -> None:
        """In the thread."""
        try:
            answer, failure = self._context.run(self._work), None
        except BaseException as error:  # noqa: BLE001 - whoever asked gets it
            answer, failure = None, error
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._arrive, answer, failure)

    async def wait(self) -> None:
        """Until the work is over, whoever has given up on its answer."""
        if not self._is_over:
            self._waiter = self._loop.create_future()
            await self._waiter

    def _arrive(self, answer: Any, failure: BaseException | None) -> None:  # noqa: ANN401 - as `work` has it
        self._is_over = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self.answer.done():
            return
        if failure is None:
            self.answer.set_result(answer)
        else:
            self.answer.set_exception(failure)


class _Threads:
    """One more is started whenever work waits, up to the most. They end with the process."""

    def __init__(self) -> None:
        self._hops: SimpleQueue[_Hop] = SimpleQueue()
        self._lock = Lock()
        self._num = 0

    def put(self, hop: _Hop) -> None:
        self._hops.put(hop)
        # perhaps one that is free was about to take it: then there is one more for the next
        if self._num < _NUM_THREADS and not self._hops.empty():
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._num < _NUM_THREADS:
                self._num += 1
                Thread(target=self._run, name=f"request-{self._num}", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._hops.get().run()


_threads = _Threads()
