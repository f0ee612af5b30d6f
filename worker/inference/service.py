"""Our own runtime: from a chat request to a queued generation, by the model, the adapter, the prompt, the limits."""

import logging
import threading
from dataclasses import dataclass
from typing import Final, Literal

import httpx

from core.base_models import service as base_models
from core.config import Settings
from core.errors import AppError, Unavailable
from core.inference.types import ChatRequest, Proof, ProofRequest, RuntimeHealth, RuntimeName, ServedBase
from worker.inference import proof
from worker.inference.adapter_files import AdapterFiles
from worker.inference.asking import prompt_ids_of, refuse_if_too_long
from worker.inference.contract import Sink
from worker.inference.generation import Generation
from worker.inference.hot_adapters import Adapters
from worker.inference.residence import BaseVariants, Known
from worker.inference.runtime import BaseRuntime, VariantKey
from worker.inference.scheduler import Scheduler
from worker.training import parity

logger = logging.getLogger(__name__)

DISK_CACHE_BYTES: Final = 10 << 30
# what is loaded at the start waits for its turn among questions, however long theirs take
_PATIENCE_AT_START_S: Final = 86_400.0


@dataclass(slots=True)
class _Start:
    """How the first load of the default model went."""

    is_over: bool = False
    problem: str | None = None
    problem_of_pinned: str | None = None


class InferenceService:
    """A `Runtime` (`contract`). Where the default model is another runtime's, there is nothing to read at the start."""

    name: RuntimeName = "tailorbird"

    def __init__(
        self,
        settings: Settings,
        *,
        scheduler: Scheduler | None = None,
        disk_cache_bytes: int = DISK_CACHE_BYTES,
        has_default: bool = True,
    ) -> None:
        self._http = httpx.Client(timeout=httpx.Timeout(60, connect=5), trust_env=False)
        files = AdapterFiles(settings.home / "adapter_cache", max_bytes=disk_cache_bytes, client=self._http)
        self._adapters = Adapters(files, max_bytes=settings.max_adapter_bytes)
        self._scheduler = scheduler or Scheduler(max_per_workspace=settings.max_chats_per_workspace)
        # vLLM never gives a base of its own up
        pinned = [VariantKey.of(one) for one in settings.pinned_bases if one not in settings.base_models_of_vllm]
        self._variants = BaseVariants(
            settings,
            pinned=pinned,
            is_answering=self._scheduler.is_busy,
            on_evicted=self._adapters.forget_all_of,
        )
        self._scheduler.on_idle = self._variants.wake
        self._start = _Start(is_over=not has_default)
        self._has_default = has_default
        self._pinned = pinned

    def start(self) -> None:
        """Begin to serve; the default model is read in the background, and `health` says `loading` until then.

        The pinned ones are read after it, while questions are answered.
        """
        self._scheduler.start()
        threading.Thread(target=self._load_first, name="inference-start", daemon=True).start()

    def stop(self) -> None:
        self._scheduler.stop()
        self._http.close()

    def generate(self, request: ChatRequest, sink: Sink) -> Generation:
        """Queue the answer; its lines go to `sink`. Blocks while a model or an adapter is loaded.

        Raises `Invalid`, `NotFound`, `RateLimited` or `Unavailable` before anything is sent to `sink`.
        """
        self._refuse_while_starting()
        key = VariantKey(request.base_model, request.quantization)
        # the scheduler holds it from where the block ends
        with self._variants.use(key, request.workspace_id) as runtime:
            generation = self._prepared(request, sink, key, runtime)
            self._scheduler.submit(generation)
        return generation

    def _prepared(self, request: ChatRequest, sink: Sink, key: VariantKey, runtime: BaseRuntime) -> Generation:
        prompt_ids = prompt_ids_of(request, runtime)
        adapter = self._adapters.get(request.adapter, key, runtime) if request.adapter else None
        num_virtual_tokens = adapter.num_virtual_tokens if adapter else 0
        refuse_if_too_long(len(prompt_ids), num_readable=runtime.context_tokens - num_virtual_tokens)
        mask = None
        if request.constraint:
            mask = runtime.constraints.mask(request.constraint, may_call_several=request.may_call_several)
        return Generation(
            runtime,
            prompt_ids,
            request.sampling,
            sink,
            adapter,
            tools=frozenset(str(tool["function"]["name"]) for tool in request.tools),
            may_call_several=request.may_call_several,
            mask=mask,
            workspace_id=request.workspace_id,
        )

    def prove(self, request: ProofRequest) -> Proof:
        """Compare an adapter with what its trainer wrote down. Blocks for as long as that takes.

        Raises `Invalid` for an adapter that is none or has nothing to compare with, else as `generate` does.
        """
        self._refuse_while_starting()
        key = VariantKey(request.base_model, request.quantization)
        with self._variants.use(key) as runtime:
            reference = parity.read(self._adapters.reference(request.adapter))
            adapter = self._adapters.get(request.adapter, key, runtime)
            return proof.prove(runtime, adapter, reference, self._scheduler.submit)

    def _refuse_while_starting(self) -> None:
        if not self._start.is_over:
            raise Unavailable("The model server is starting. Try again in a minute.", code="inference_unavailable")

    def health(self) -> RuntimeHealth:
        adapters = self._adapters.loaded()
        known = self._variants.known()
        loaded = tuple(str(one.key) for one in known if one.runtime)
        return RuntimeHealth(
            status=self._status,
            base_models=loaded,
            adapters=tuple(sorted({digest for digest, _ in adapters})),
            active=self._scheduler.num_active,
            waiting=self._scheduler.num_waiting + sum(one.num_waiting for one in known),
            problem=(None if loaded else self._start.problem) or self._start.problem_of_pinned,
            served=tuple(self._served(one, sum(of == one.key for _, of in adapters)) for one in known),
            base_budget_bytes=self._variants.budget_bytes,
        )

    def _served(self, known: Known, num_adapters: int) -> ServedBase:
        runtime = known.runtime
        return ServedBase(
            base_model=str(known.key),
            runtime=self.name,
            status="ready" if runtime else "starting" if known.is_loading else "evicted",
            active=self._scheduler.num_active_of(runtime) if runtime else 0,
            waiting=known.num_waiting + (self._scheduler.num_waiting_of(runtime) if runtime else 0),
            num_adapters=num_adapters,
            adapters=self._adapters.use_of(known.key),
            residence=known.residence,
        )

    @property
    def _status(self) -> Literal["loading", "ready", "failed"]:
        if not self._start.is_over:
            return "loading"
        # one that was evicted since was read well; one that could not be read may be by now
        return "failed" if self._start.problem and not self._variants.loaded() else "ready"

    def _load_first(self) -> None:
        if self._has_default:
            self._start.problem = self._problem_of_loading(VariantKey(base_models.default_base_model().id))
            # a model that is missing now is tried again by the first request that asks for it
            self._start.is_over = True
        problems = [self._problem_of_loading(key) for key in self._pinned]
        self._start.problem_of_pinned = next(filter(None, problems), None)

    def _problem_of_loading(self, key: VariantKey) -> str | None:
        try:
            with self._variants.use(key, patience_s=_PATIENCE_AT_START_S):
                return None
        except AppError as error:
            logger.warning("%s", error.message)
            return error.message
        except Exception:
            logger.exception("%s could not be loaded", key)
            return f"The base model {key} could not be loaded. An admin should look at the log."
