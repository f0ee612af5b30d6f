"""What we ask of vLLM's server, answered by our own engine: for tests without vLLM's environment.

The wire is that of vLLM 0.32, as far as it is used. `make test-vllm` holds the real one to the same tests.
"""

import argparse
import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import torch
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from core.errors import AppError
from core.inference.types import Sampling
from worker.inference.adapter_config import parse_adapter_config
from worker.inference.adapter_weights import AdapterWeights, read_adapter_weights
from worker.inference.constraints import TokenMask
from worker.inference.runtime import BaseRuntime, DecodeRow, load_runtime
from worker.inference.sampling import Sampler
from worker.inference.scheduler import Scheduler

Piece = dict[str, Any] | None


class Work:
    """A sequence of the scheduler's that tells its tokens as vLLM does."""

    def __init__(
        self,
        runtime: BaseRuntime,
        adapter: AdapterWeights | None,
        body: dict[str, Any],
        put: Any,  # noqa: ANN401
    ) -> None:
        self.runtime, self.adapter, self.workspace_id = runtime, adapter, None
        self.prompt_ids: Sequence[int] = body["prompt"]
        self.num_prefilled = self.num_recalled = 0
        self.is_cancelled = False
        self._body, self._put = body, put
        self._ids: list[int] = []
        grammar = body.get("structured_outputs", {}).get("grammar")
        mask = grammar and TokenMask(runtime.constraints._matcher(grammar), runtime.num_scores)
        self._sampler = Sampler(
            Sampling(
                temperature=body["temperature"],
                top_p=body.get("top_p", 1),
                seed=body.get("seed"),
                presence_penalty=body.get("presence_penalty", 0),
                frequency_penalty=body.get("frequency_penalty", 0),
                logit_bias=body.get("logit_bias", {}),
            ),
            mask,
        )

    @property
    def num_cached(self) -> int:
        return self.num_prefilled + max(0, len(self._ids) - 1)

    @property
    def cached_ids(self) -> Sequence[int]:
        return [*self.prompt_ids[: self.num_prefilled], *self._ids[:-1]]

    @property
    def prefix_owner(self) -> None:
        pass

    def spend(self, seconds: float) -> None:
        pass

    def next_row(self) -> DecodeRow:
        return DecodeRow(self._ids[-1], self.num_cached, self.adapter)

    def take(self, scores: torch.Tensor) -> bool:
        token_id = self._sampler.choose(scores)
        self._ids.append(token_id)
        is_end = token_id in self._body.get("stop_token_ids", ()) or self._sampler.is_complete
        is_long = len(self._ids) >= self._body["max_tokens"]
        reason = "stop" if is_end else "length" if is_long else None
        told = self._logprobs(token_id, scores)
        self._put({"index": 0, "text": "", "token_ids": [token_id], "logprobs": told, "finish_reason": reason})
        return reason is not None

    def fail(self, error: AppError) -> None:
        self._put(None)

    def _logprobs(self, token_id: int, scores: torch.Tensor) -> dict[str, Any] | None:
        num_top = self._body.get("logprobs")
        if num_top is None:
            return None
        logprobs = scores.log_softmax(0)
        ids = self._body.get("logprob_token_ids") or logprobs.topk(num_top).indices.tolist()
        top = {f"token_id:{one}": float(logprobs[one]) for one in dict.fromkeys([token_id, *ids])}
        return {
            "tokens": [f"token_id:{token_id}"],
            "token_logprobs": [float(logprobs[token_id])],
            "top_logprobs": [top],
        }


class FakeVllm:
    def __init__(self, model: Path, name: str) -> None:
        torch.set_num_threads(1)
        self._runtime = load_runtime(model, None)
        self._name = name
        self._adapters: dict[str, AdapterWeights] = {}
        self._scheduler = Scheduler(max_active=8, max_waiting=1000)
        self._scheduler.start()

    async def load(self, request: Request) -> Response:
        body = await request.json()
        if body["lora_name"] in self._adapters:
            return refused(400, "has already been loaded")
        if os.environ.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING") != "True":
            return refused(404, "Not Found")
        folder = Path(body["lora_path"])
        self._adapters[body["lora_name"]] = read_adapter_weights(
            (folder / "adapter_model.safetensors").read_bytes(),
            parse_adapter_config((folder / "adapter_config.json").read_bytes()),
            digest=folder.name,
            base=self._runtime,
        )
        return PlainTextResponse("Success")

    async def unload(self, request: Request) -> Response:
        name = (await request.json())["lora_name"]
        return PlainTextResponse("Success") if self._adapters.pop(name, None) else refused(404, "cannot be found")

    async def complete(self, request: Request) -> Response:
        body = await request.json()
        if body["model"] != self._name and body["model"] not in self._adapters:
            return refused(404, f"The model `{body['model']}` does not exist.")
        pieces: asyncio.Queue[Piece] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        work = Work(
            self._runtime,
            self._adapters.get(body["model"]),
            body,
            lambda piece: loop.call_soon_threadsafe(pieces.put_nowait, piece),
        )
        self._scheduler.submit(work)
        if not body.get("stream"):
            return JSONResponse({"choices": [await pieces.get()]})
        return StreamingResponse(self._stream(work, pieces), media_type="text/event-stream")

    async def _stream(self, work: Work, pieces: "asyncio.Queue[Piece]") -> AsyncIterator[str]:
        try:
            while True:
                piece = await pieces.get()
                if piece is None:
                    yield f"data: {json.dumps({'error': {'message': 'EngineDeadError'}})}\n\n"
                    return
                yield f"data: {json.dumps({'choices': [piece]})}\n\n"
                if piece["finish_reason"]:
                    yield "data: [DONE]\n\n"
                    return
        finally:
            work.is_cancelled = True


def refused(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message}}, status_code=status)


async def health(request: Request) -> Response:
    return Response()


async def version(request: Request) -> Response:
    return JSONResponse({"version": "fake"})


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("model", "served-model-name", "uds"):
        parser.add_argument(f"--{name}", required=True)
    known, _ = parser.parse_known_args()
    fake = FakeVllm(Path(known.model), known.served_model_name)
    routes = [
        Route("/health", health),
        Route("/version", version),
        Route("/v1/load_lora_adapter", fake.load, methods=["POST"]),
        Route("/v1/unload_lora_adapter", fake.unload, methods=["POST"]),
        Route("/v1/completions", fake.complete, methods=["POST"]),
    ]
    uvicorn.run(Starlette(routes=routes), uds=known.uds, log_level="warning", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
