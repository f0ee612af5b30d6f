"""From a chat request to a queued generation: the model, the adapter, the prompt's tokens, the limits."""

import logging
import threading
from dataclasses import dataclass
from typing import Any

import httpx

from core.base_models import service as base_models
from core.config import Settings
from core.errors import AppError, Invalid, Unavailable
from core.inference.types import ChatRequest, Message, Proof, ProofRequest, RuntimeHealth
from worker.inference import proof
from worker.inference.adapter_files import AdapterFiles
from worker.inference.generation import Generation, Sink
from worker.inference.residence import Adapters, BaseVariants
from worker.inference.runtime import BaseRuntime, VariantKey
from worker.inference.scheduler import Scheduler
from worker.training import parity

logger = logging.getLogger(__name__)

_DISK_CACHE_BYTES = 10 << 30


@dataclass(slots=True)
class _Start:
    """How the first load of the default model went."""

    is_over: bool = False
    problem: str | None = None


class InferenceService:
    def __init__(
        self, settings: Settings, *, scheduler: Scheduler | None = None, disk_cache_bytes: int = _DISK_CACHE_BYTES
    ) -> None:
        self._http = httpx.Client(timeout=httpx.Timeout(60, connect=5), trust_env=False)
        files = AdapterFiles(settings.home / "adapter_cache", max_bytes=disk_cache_bytes, client=self._http)
        self._variants = BaseVariants(settings)
        self._adapters = Adapters(files, max_bytes=settings.max_adapter_bytes)
        self._scheduler = scheduler or Scheduler(max_per_workspace=settings.max_chats_per_workspace)
        self._start = _Start()
        self._default = VariantKey(base_models.default_base_model().id)

    def start(self) -> None:
        """Begin to serve; the default model is read in the background, and `health` says `loading` until then."""
        self._scheduler.start()
        threading.Thread(target=self._load_default, name="inference-start", daemon=True).start()

    def stop(self) -> None:
        self._scheduler.stop()
        self._http.close()

    def generate(self, request: ChatRequest, sink: Sink) -> Generation:
        """Queue the answer; its lines go to `sink`. Blocks while a model or an adapter is loaded.

        Raises `Invalid`, `NotFound`, `RateLimited` or `Unavailable` before anything is sent to `sink`.
        """
        self._refuse_while_starting()
        key = VariantKey(request.base_model, request.quantization)
        runtime = self._variants.get(key)
        prompt_ids = _prompt_ids(runtime, request)
        adapter = self._adapters.get(request.adapter, key, runtime) if request.adapter else None
        num_readable = runtime.context_tokens - (adapter.num_virtual_tokens if adapter else 0)
        if len(prompt_ids) >= num_readable:
            raise Invalid(
                f"The conversation has {len(prompt_ids)} tokens and this model reads at most {num_readable - 1}. "
                "Shorten it, or start a new one.",
                code="context_length_exceeded",
                param="messages",
                details={"prompt_tokens": len(prompt_ids), "max_prompt_tokens": num_readable - 1},
            )
        _refuse_unknown_tokens(runtime, request)
        mask = None
        if request.constraint:
            mask = runtime.constraints.mask(request.constraint, may_call_several=request.may_call_several)
        generation = Generation(
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
        self._scheduler.submit(generation)
        return generation

    def prove(self, request: ProofRequest) -> Proof:
        """Compare an adapter with what its trainer wrote down. Blocks for as long as that takes.

        Raises `Invalid` for an adapter that is none or has nothing to compare with, else as `generate` does.
        """
        self._refuse_while_starting()
        key = VariantKey(request.base_model, request.quantization)
        runtime = self._variants.get(key)
        reference = parity.read(self._adapters.reference(request.adapter))
        adapter = self._adapters.get(request.adapter, key, runtime)
        return proof.prove(runtime, adapter, reference, self._scheduler.submit)

    def _refuse_while_starting(self) -> None:
        if not self._start.is_over:
            raise Unavailable("The model server is starting. Try again in a minute.", code="inference_unavailable")

    def health(self) -> RuntimeHealth:
        loaded = tuple(str(key) for key in self._variants.loaded())
        status = "ready" if loaded else "failed" if self._start.is_over else "loading"
        return RuntimeHealth.model_validate(
            {
                "status": status,
                "base_models": loaded,
                "adapters": tuple(self._adapters.loaded()),
                "active": self._scheduler.num_active,
                "waiting": self._scheduler.num_waiting,
                "problem": None if loaded else self._start.problem,
            }
        )

    def _load_default(self) -> None:
        try:
            self._variants.get(self._default)
        except AppError as error:
            logger.warning("%s", error.message)
            self._start.problem = error.message
        except Exception:
            logger.exception("the default model could not be loaded")
            self._start.problem = "The default model could not be loaded. An admin should look at the log."
        # a model that is missing now is tried again by the first request that asks for it
        self._start.is_over = True


def _prompt_ids(runtime: BaseRuntime, request: ChatRequest) -> list[int]:
    if request.tools and runtime.chat_format.call_syntax is None:
        raise Invalid(
            "This base model's chat template has no place for tools, or writes calls of them in no way that can be "
            "read back. Choose a base model that calls tools, or leave them out.",
            code="tools_unsupported",
            param="tools",
        )
    messages = [_as_on_the_wire(message) for message in request.messages]
    return runtime.chat_format.render_prompt(messages, tools=request.tools or None)


def _as_on_the_wire(message: Message) -> dict[str, Any]:
    written = message.model_dump(exclude={"tool_calls"}, exclude_none=True)
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in message.tool_calls
    ]
    return written | ({"tool_calls": calls} if calls else {})


def _refuse_unknown_tokens(runtime: BaseRuntime, request: ChatRequest) -> None:
    unknown = [token_id for token_id in request.sampling.logit_bias if not 0 <= token_id < runtime.num_scores]
    if unknown:
        raise Invalid(
            f"logit_bias names the token {unknown[0]}, and this model's tokens are numbered 0 to "
            f"{runtime.num_scores - 1}.",
            code="unknown_token",
            param="logit_bias",
        )
