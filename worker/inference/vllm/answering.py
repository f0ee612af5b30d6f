"""One answer in the making, by vLLM."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, Literal

from core.errors import AppError
from worker.inference.delivery import Delivery
from worker.inference.failures import restarting
from worker.inference.vllm.gate import Gate, Place
from worker.inference.vllm.wire import Asked, Wire

logger = logging.getLogger(__name__)

_TASK: Final = "answer"


class VllmAnswering:
    """An `Answering` (`contract`). Made by any thread; all else of it happens on the loop."""

    def __init__(
        self,
        asked: Asked,
        delivery: Delivery,
        loop: asyncio.AbstractEventLoop,
        *,
        model_name: str,
        fingerprint: str,
        release: Callable[[], None],
    ) -> None:
        self.fingerprint = fingerprint
        self.num_prompt_tokens = len(asked.prompt_ids)
        self._asked = asked
        self._delivery = delivery
        self._loop = loop
        self._model_name = model_name
        self._release = release
        self._admitted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_cancelled = False

    @property
    def num_tokens(self) -> int:
        return self._delivery.num_tokens

    def begin(self, gate: Gate, wire: Wire) -> None:
        """Take a place and wait for the turn. Raises `RateLimited`."""
        place = Place(self._asked.workspace_id, self._admit)
        try:
            gate.enter(place)
        except AppError:
            self._release()
            raise
        self._loop.call_soon_threadsafe(self._start, gate, place, wire)

    def cancel(self) -> None:
        # the loop may be gone when the runtime stops
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._cancel)

    def _admit(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._admitted.set)

    def _start(self, gate: Gate, place: Place, wire: Wire) -> None:
        self._task = asyncio.create_task(self._answer(gate, place, wire), name=_TASK)
        # also where it was cancelled before its first step
        self._task.add_done_callback(lambda task: self._clean_up(task, gate, place))

    def _cancel(self) -> None:
        self._is_cancelled = True
        if self._task:
            self._task.cancel()

    def _clean_up(self, task: asyncio.Task[None], gate: Gate, place: Place) -> None:
        gate.leave(place)
        self._release()
        # either its reader went away, or the runtime stops; the latter is told
        if task.cancelled() and not self._is_cancelled:
            self._delivery.fail(restarting())

    async def _answer(self, gate: Gate, place: Place, wire: Wire) -> None:
        try:
            await self._admitted.wait()
            await self._deliver(gate, place, wire)
        except AppError as error:
            logger.warning("an answer for %s broke off: %s", self._model_name, error.message)
            self._delivery.fail(error)
        except Exception:
            logger.exception("an answer for %s failed", self._model_name)
            self._delivery.fail(
                AppError("The model server failed at this answer. An admin should look at its log.", code="internal")
            )

    async def _deliver(self, gate: Gate, place: Place, wire: Wire) -> None:
        async with contextlib.aclosing(wire.complete(self._asked)) as steps:
            async for step in steps:
                self._delivery.seconds = gate.spent(place)
                if any(self._delivery.take(token_id, told) for token_id, told in step.tokens):
                    return
                if step.finish_reason:
                    self._delivery.finish(_reason(step.finish_reason))
                    return


def _reason(finish_reason: str) -> Literal["stop", "length"]:
    return "length" if finish_reason == "length" else "stop"


async def cancel_all() -> None:
    """Whoever is being answered on this loop, and those who wait, are told that the server restarts."""
    tasks = [task for task in asyncio.all_tasks() if task.get_name() == _TASK]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
