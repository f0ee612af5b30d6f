"""The runtime's HTTP: `POST /generate` streams NDJSON, `POST /prove` proves an adapter, `GET /health` tells the state.

Internal, by bearer token.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from core.config import Settings
from core.errors import AppError, Invalid, TooLarge, Unauthenticated
from core.inference.types import ChatRequest, DoneLine, ErrorLine, ProofRequest, StartLine, StreamLine
from worker.inference.contract import Answering
from worker.inference.failures import error_line, restarting, status_of
from worker.inference.runtimes import Answers, Runtimes

_MAX_BODY_BYTES: Final = 8 << 20
# a call holds one until its model and its adapter are loaded; twice as many as may wait for a model
_MAX_THREADS: Final = 64

Asked = TypeVar("Asked", bound=BaseModel)


def create_app(settings: Settings, service: Answers | None = None) -> Starlette:
    service = service or Runtimes.of(settings)
    threads = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="inference-call")
    expected = f"Bearer {settings.inference_token}".encode()

    async def generate(request: Request) -> Response:
        try:
            _check_token(request, expected)
            return await _answer(service, threads, await _parse(request, ChatRequest))
        except AppError as error:
            return _refusal(error)

    async def prove(request: Request) -> Response:
        try:
            _check_token(request, expected)
            asked = await _parse(request, ProofRequest)
            proof = await asyncio.get_running_loop().run_in_executor(threads, service.prove, asked)
        except AppError as error:
            return _refusal(error)
        return JSONResponse(proof.model_dump(mode="json"))

    async def health(request: Request) -> Response:
        try:
            _check_token(request, expected)
        except AppError as error:
            return _refusal(error)
        return JSONResponse(service.health().model_dump(mode="json"))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        service.start()
        yield
        await asyncio.to_thread(service.stop)
        threads.shutdown(wait=False, cancel_futures=True)

    routes = [
        Route("/generate", generate, methods=["POST"]),
        Route("/prove", prove, methods=["POST"]),
        Route("/health", health, methods=["GET"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


class LineStream(Response):
    """Sends lines as they come, and cancels the generation when the client hangs up."""

    media_type = "application/x-ndjson"

    def __init__(self, answering: Answering, lines: "asyncio.Queue[StreamLine]") -> None:
        super().__init__()
        del self.headers["content-length"]
        self._fingerprint = answering.fingerprint
        self._num_prompt_tokens = answering.num_prompt_tokens
        self._cancel = answering.cancel
        self._lines = lines
        self._has_begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        is_stopping = False
        sending = asyncio.create_task(self._send_lines(send))
        listening = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # only a server that ends cancels an answer, after the time it gives to those in progress
            is_stopping = True
        finally:
            self._cancel()
            sending.cancel()
            listening.cancel()
            await asyncio.gather(sending, listening, return_exceptions=True)
        if is_stopping:
            await self._send(send, error_line(restarting()))

    async def _send_lines(self, send: Send) -> None:
        line: StreamLine = StartLine(fingerprint=self._fingerprint, prompt_tokens=self._num_prompt_tokens)
        while not _is_last(line):
            await self._send(send, line)
            line = await self._lines.get()
        await self._send(send, line)

    async def _send(self, send: Send, line: StreamLine) -> None:
        # a client that went away shows here or in `_until_gone`, depending on the server
        with suppress(OSError):
            if not self._has_begun:
                self._has_begun = True
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            body = line.model_dump_json().encode() + b"\n"
            await send({"type": "http.response.body", "body": body, "more_body": not _is_last(line)})


def _is_last(line: StreamLine) -> bool:
    return isinstance(line, DoneLine | ErrorLine)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(service: Answers, threads: Executor, request: ChatRequest) -> Response:
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[StreamLine] = asyncio.Queue()

    def sink(line: StreamLine) -> None:
        # the loop may be gone when the server stops in the middle of an answer
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(lines.put_nowait, line)

    answering = await loop.run_in_executor(threads, service.generate, request, sink)
    return LineStream(answering, lines)


async def _parse(request: Request, wanted: type[Asked]) -> Asked:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise TooLarge("The conversation is too large.")
    try:
        return wanted.model_validate_json(bytes(body))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise Invalid(f"The request is not valid: {place}: {first['msg']}.", param=place or None) from error


def _check_token(request: Request, expected: bytes) -> None:
    given = request.headers.get("authorization", "").encode()
    if not hmac.compare_digest(given, expected):
        raise Unauthenticated("The model server was called with a wrong token.", code="inference_token_wrong")


def _refusal(error: AppError) -> Response:
    line: ErrorLine = error_line(error)
    status = 401 if isinstance(error, Unauthenticated) else status_of(error)
    return JSONResponse(line.model_dump(mode="json"), status_code=status)
