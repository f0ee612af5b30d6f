"""Which runtime answers for which base model, and what becomes of what that one cannot serve."""

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from core.base_models import service as base_models
from core.config import Settings
from core.inference.types import ChatRequest, Proof, ProofRequest, RuntimeHealth
from worker.inference.contract import Answering, CannotServe, Runtime, Sink
from worker.inference.service import InferenceService
from worker.inference.vllm.runtime import VllmRuntime

logger = logging.getLogger(__name__)


class Answers(Protocol):
    """What the server needs of one runtime, or of several behind one."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def generate(self, request: ChatRequest, sink: Sink) -> Answering: ...

    def prove(self, request: ProofRequest) -> Proof: ...

    def health(self) -> RuntimeHealth: ...


class Runtimes:
    """`others` answer for the base models they are named for, `own` for all the rest.

    What another cannot serve falls to `own` where `falls_back`, and is refused with the reason where not.
    """

    def __init__(self, own: Runtime, others: Mapping[str, Runtime], *, falls_back: bool) -> None:
        self._own = own
        self._others = others
        self._falls_back = falls_back

    @classmethod
    def of(cls, settings: Settings) -> "Runtimes":
        """As the settings say. Raises `NotFound` for a base model that nobody knows."""
        named = [base_models.get(model_id).id for model_id in settings.base_models_of_vllm]
        vllm = VllmRuntime(settings, named) if named else None
        own = InferenceService(settings, has_default=base_models.default_base_model().id not in named)
        return cls(own, dict.fromkeys(named, vllm) if vllm else {}, falls_back=settings.vllm_otherwise == "own")

    def start(self) -> None:
        for runtime in self._all:
            runtime.start()

    def stop(self) -> None:
        for runtime in self._all:
            runtime.stop()

    def generate(self, request: ChatRequest, sink: Sink) -> Answering:
        runtime = self._runtime_of(request.base_model)
        try:
            return runtime.generate(request, sink)
        except CannotServe as reason:
            return self._fallback(reason).generate(request, sink)

    def prove(self, request: ProofRequest) -> Proof:
        runtime = self._runtime_of(request.base_model)
        try:
            return runtime.prove(request)
        except CannotServe as reason:
            return self._fallback(reason).prove(request)

    def health(self) -> RuntimeHealth:
        """The status is that of whoever has the default model."""
        told = [runtime.health() for runtime in self._all]
        default = self._all.index(self._runtime_of(base_models.default_base_model().id))
        return RuntimeHealth(
            status=told[default].status,
            problem=next((one.problem for one in (told[default], *told) if one.problem), None),
            base_models=tuple(name for one in told for name in one.base_models),
            adapters=tuple(sorted({digest for one in told for digest in one.adapters})),
            active=sum(one.active for one in told),
            waiting=sum(one.waiting for one in told),
            served=tuple(base for one in told for base in one.served),
            base_budget_bytes=told[0].base_budget_bytes,
        )

    @property
    def _all(self) -> Sequence[Runtime]:
        """Each once, ours first."""
        return [self._own, *dict.fromkeys(self._others.values())]

    def _runtime_of(self, base_model: str) -> Runtime:
        return self._others.get(base_model, self._own)

    def _fallback(self, reason: CannotServe) -> Runtime:
        if not self._falls_back:
            raise reason
        logger.info("our own runtime answers: %s", reason.message)
        return self._own
