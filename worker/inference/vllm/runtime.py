"""vLLM as a `Runtime`: an engine for each base model that is vLLM's, one loop for all that is said to them."""

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from core.base_models import service as base_models
from core.config import Settings, environment_of_engine
from core.errors import AppError, NotFound, Unavailable
from core.inference.types import (
    ChatRequest,
    Proof,
    ProofRequest,
    RuntimeHealth,
    RuntimeName,
    ServedBase,
)
from core.workers import hardware
from worker.inference.adapter_files import AdapterFiles, reference_of
from worker.inference.asking import prompt_ids_of, refuse_if_too_long
from worker.inference.contract import CannotServe, Sink
from worker.inference.delivery import Delivery
from worker.inference.runtime import VariantKey
from worker.inference.service import DISK_CACHE_BYTES
from worker.inference.vllm import proof
from worker.inference.vllm.adapters import LoadedAdapters
from worker.inference.vllm.answering import VllmAnswering, cancel_all
from worker.inference.vllm.base import Base
from worker.inference.vllm.command import program_of
from worker.inference.vllm.engine import Engine
from worker.inference.vllm.gate import Gate
from worker.inference.vllm.plain import name_of_plain
from worker.inference.vllm.wire import Asked, starting
from worker.training import parity

logger = logging.getLogger(__name__)

_STATUSES: Final = {"starting": "loading", "ready": "ready", "restarting": "loading", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class _Served:
    """A base model, and all that answers for it."""

    base: Base
    engine: Engine
    adapters: LoadedAdapters
    gate: Gate


class VllmRuntime:
    """A `Runtime` (`contract`) for the base models named."""

    name: RuntimeName = "vllm"

    def __init__(self, settings: Settings, model_ids: Sequence[str]) -> None:
        self._settings = settings
        self._model_ids = tuple(model_ids)
        self._http = httpx.Client(timeout=httpx.Timeout(60, connect=5), trust_env=False)
        self._files = AdapterFiles(settings.home / "adapter_cache", max_bytes=DISK_CACHE_BYTES, client=self._http)
        self._hardware = hardware.key_of(hardware.gpus(environment_of_engine().get("CUDA_VISIBLE_DEVICES")))
        self._loop = asyncio.new_event_loop()
        self._loop_thread = threading.Thread(target=self._loop.run_forever, name="vllm-loop", daemon=True)
        self._served: Mapping[str, _Served] = {}
        self._problems: dict[str, str] = {}
        self._stopping = threading.Event()

    def start(self) -> None:
        self._loop_thread.start()
        threading.Thread(target=self._start_all, name="vllm-start", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()
        if not self._loop_thread.is_alive():
            return
        # told before their engines are gone, or they would hear that those died
        asyncio.run_coroutine_threadsafe(cancel_all(), self._loop).result()
        for served in self._served.values():
            served.engine.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._loop_thread.join()
        self._loop.close()
        self._http.close()

    def generate(self, request: ChatRequest, sink: Sink) -> VllmAnswering:
        served = self._of(request.base_model, request.quantization)
        wire = served.engine.wire()
        base = served.base
        prompt_ids = prompt_ids_of(request, base)
        refuse_if_too_long(len(prompt_ids), num_readable=base.context_tokens)
        grammar = None
        if request.constraint:
            grammar = base.constraints.checked_grammar(request.constraint, may_call_several=request.may_call_several)
        release = served.adapters.acquire(request.adapter) if request.adapter else _nothing
        delivery = Delivery(
            base,
            request.sampling,
            sink,
            num_prompt_tokens=len(prompt_ids),
            tools=frozenset(str(tool["function"]["name"]) for tool in request.tools),
            may_call_several=request.may_call_several,
        )
        asked = Asked(
            model=request.adapter.digest if request.adapter else name_of_plain(base),
            prompt_ids=prompt_ids,
            sampling=request.sampling,
            max_tokens=delivery.max_tokens,
            end_ids=sorted(base.end_ids),
            workspace_id=request.workspace_id,
            grammar=grammar,
        )
        answering = VllmAnswering(
            asked,
            delivery,
            self._loop,
            model_name=request.base_model,
            fingerprint=base.fingerprint(served.engine.state.version),
            release=release,
        )
        answering.begin(served.gate, wire)
        return answering

    def prove(self, request: ProofRequest) -> Proof:
        served = self._of(request.base_model, request.quantization)
        wire = served.engine.wire()
        reference = parity.read(reference_of(self._files.read(request.adapter)))
        release = served.adapters.acquire(request.adapter)
        try:
            return proof.prove(
                served.base,
                reference,
                lambda asked: served.engine.call(proof.all_scores(wire, asked)),
                adapter=request.adapter.digest,
                fingerprint=served.base.fingerprint(served.engine.state.version),
            )
        finally:
            release()

    def health(self) -> RuntimeHealth:
        told = [self._health_of(model_id) for model_id in self._model_ids]
        default = base_models.default_base_model().id
        first = next((one for one in told if one.base_model == default), told[0])
        return RuntimeHealth.model_validate(
            {
                "status": _STATUSES[first.status],
                "problem": first.problem,
                "base_models": tuple(one.base_model for one in told if one.status == "ready"),
                "adapters": tuple(sorted({one for served in self._served.values() for one in served.adapters.digests})),
                "active": sum(one.active for one in told),
                "waiting": sum(one.waiting for one in told),
                "served": tuple(told),
            }
        )

    def _health_of(self, model_id: str) -> ServedBase:
        served = self._served.get(model_id)
        if served is None:
            problem = self._problems.get(model_id)
            status = "failed" if problem else "starting"
            about = {"base_model": model_id, "runtime": self.name, "status": status, "problem": problem}
            return ServedBase.model_validate(about)
        state = served.engine.state
        return ServedBase(
            base_model=model_id,
            runtime=self.name,
            status=state.status,
            active=served.gate.num_active,
            waiting=served.gate.num_waiting,
            num_adapters=len(served.adapters.digests),
            adapters=served.adapters.use,
            num_restarts=state.num_restarts,
            version=state.version,
            is_isolated=state.is_isolated,
            problem=state.problem,
        )

    def _of(self, model_id: str, quantization: str | None) -> _Served:
        if model_id not in self._model_ids:
            raise NotFound(f"vLLM does not answer for {model_id}.", code="model_not_found", param="model")
        if quantization is not None:
            raise CannotServe(
                f"vLLM, which answers for {model_id}, cannot serve this model: it was trained by QLoRA, on weights "
                "rounded as vLLM does not round them.",
                param="model",
            )
        served = self._served.get(model_id)
        if served is None:
            raise starting(model_id, self._problems.get(model_id))
        return served

    def _start_all(self) -> None:
        started: dict[str, _Served] = {}
        for model_id in self._model_ids:
            try:
                started[model_id] = self._prepared(model_id)
            except AppError as error:
                logger.warning("%s", error.message)
                self._problems[model_id] = error.message
            except Exception:
                logger.exception("%s could not be prepared for vLLM", model_id)
                self._problems[model_id] = "Its folder could not be read. An admin should look at the log."
        if self._stopping.is_set():
            return
        self._served = started
        for served in started.values():
            served.engine.start(on_ready=served.adapters.begin)

    def _prepared(self, model_id: str) -> _Served:
        settings = self._settings
        if not settings.vllm_python.exists():
            raise Unavailable(
                f"vLLM is not installed: there is no {settings.vllm_python}. An admin can run: make vllm",
                code="engine_missing",
            )
        if not base_models.is_ready(settings, model_id):
            raise Unavailable(
                f"The base model {model_id} is not on the model server's disk. An admin can run: "
                f"python -m worker.base_models {model_id}",
                code="base_model_not_ready",
                param="model",
            )
        base = Base(
            base_models.folder(settings, model_id),
            VariantKey(model_id),
            hardware=self._hardware,
            max_context_tokens=settings.vllm_max_context_tokens,
        )
        share = settings.vllm_gpu_memory / len(self._model_ids)
        engine = Engine(
            model_id,
            lambda place: program_of(settings, base, place, gpu_share=share),
            self._loop,
            start_timeout_s=settings.vllm_start_timeout_s,
        )
        folder = settings.home.absolute() / "vllm" / "adapters" / model_id
        adapters = LoadedAdapters(
            base,
            self._files,
            folder,
            engine,
            max_adapters=settings.vllm_max_adapters,
            max_rank=settings.vllm_max_lora_rank,
        )
        gate = Gate(
            max_active=settings.vllm_max_active,
            max_waiting=settings.vllm_max_waiting,
            max_per_workspace=settings.max_chats_per_workspace,
        )
        return _Served(base, engine, adapters, gate)


def _nothing() -> None:
    """There is nothing to give back."""
