"""Shadows answer after the answer was sent, by a thread of their own: nobody waits for them, and no answer fails.

More than can be answered soon are left out, and the log says how many: a shadow is a sample, not a promise.
"""

import logging
import queue
import threading
from dataclasses import dataclass
from typing import Final

from core.db.session import Database, workspace_scope
from core.errors import AppError
from core.inference.client import InferenceClient
from core.inference.types import ChatRequest
from core.kit.ids import new_id
from core.serving import proofs
from core.serving import service as serving
from core.serving.aliases import service as aliases
from core.serving.aliases.models import ShadowAnswer
from core.serving.gate import Gate
from core.serving.service import Target

logger = logging.getLogger(__name__)

_MAX_WAITING: Final = 64
_IDLE_S: Final = 10.0
_MAX_QUESTION_CHARS: Final = 2000
_NUL: Final = "\0"


@dataclass(frozen=True, slots=True)
class ShadowTask:
    """An answer that was sent, and what its shadow is asked."""

    request: ChatRequest
    target: Target
    workspace_id: str
    alias_id: str
    alias: str
    release: int
    completion_id: str
    shown_model: str
    shown_text: str
    created_by: str | None
    asked_s: float
    """When the question came, by `time.monotonic()`."""


class Shadows:
    """`ask` returns at once. Safe to share between threads."""

    def __init__(self, database: Database, *, gate: Gate) -> None:
        self._database, self._gate = database, gate
        self._waiting: queue.Queue[tuple[ShadowTask, InferenceClient]] = queue.Queue(maxsize=_MAX_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.num_left_out = 0

    def ask(self, task: ShadowTask, inference: InferenceClient) -> None:
        try:
            self._waiting.put_nowait((task, inference))
        except queue.Full:
            self.num_left_out += 1
            logger.warning("%d shadow answers were left out: the model server is busy", self.num_left_out)
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="shadows", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Wait until all that were asked have answered."""
        self._waiting.join()

    def _run(self) -> None:
        while True:
            try:
                task, inference = self._waiting.get(timeout=_IDLE_S)
            except queue.Empty:
                with self._lock:
                    if self._waiting.empty():
                        self._thread = None
                        return
                continue
            try:
                self._answer(task, inference)
            except Exception:
                logger.exception("the shadow of %s was not kept", task.completion_id)
            finally:
                self._waiting.task_done()

    def _answer(self, task: ShadowTask, inference: InferenceClient) -> None:
        text: str | None = None
        problem: str | None = None
        seconds, tokens, hardware = 0.0, 0, "cpu"
        try:
            proofs.prove_if_needed(self._database, inference, task.target)
            found = inference.chat(task.request)
            text, seconds, hardware = found.text, found.seconds, found.hardware
            tokens = found.prompt_tokens + found.completion_tokens
        except AppError as error:
            problem = error.message
        shadow_id = new_id("shd_")
        answer = ShadowAnswer(
            id=shadow_id,
            workspace_id=task.workspace_id,
            alias_id=task.alias_id,
            completion_id=task.completion_id,
            release=task.release,
            question=_storable(_question(task.request)),
            shown_model=task.shown_model,
            shown_text=_storable(task.shown_text),
            model=task.target.model_id,
            text=None if text is None else _storable(text),
            problem=problem,
            seconds=seconds,
            tokens=tokens,
        )
        with self._database.session(workspace_scope(task.workspace_id)) as session:
            withholds = self._gate(session, workspace_id=task.workspace_id, since_s=task.asked_s)
            if withholds([answer.question, answer.shown_text, answer.text, problem], task.asked_s):
                logger.info("the shadow of %s is not kept, for somebody is forgotten", task.completion_id)
            else:
                aliases.keep_shadow_answer(session, answer)
            if seconds:
                # an entry of its own, by its own id: nobody pays for a shadow without seeing it
                serving.meter(
                    session,
                    workspace_id=task.workspace_id,
                    completion_id=shadow_id,
                    seconds=seconds,
                    num_tokens=tokens,
                    created_by=task.created_by,
                    hardware=hardware,
                    model=task.target.model_id,
                    alias=task.alias,
                )


def _question(request: ChatRequest) -> str:
    asked = [message.content for message in request.messages if message.role == "user"]
    return asked[-1][:_MAX_QUESTION_CHARS] if asked else ""


def _storable(text: str) -> str:
    """Postgres holds no NUL."""
    return text.replace(_NUL, "\N{REPLACEMENT CHARACTER}")
