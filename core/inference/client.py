"""The HTTP client to the inference runtime. Failures become `core.errors`, each with a sentence for people."""

from collections.abc import AsyncGenerator, Iterator
from typing import Final

import httpx
from pydantic import TypeAdapter, ValidationError

from core.config import Settings
from core.errors import AppError, Invalid, NotFound, RateLimited, Unavailable
from core.inference.types import (
    ChatDelta,
    ChatRequest,
    ChatResult,
    DeltaLine,
    DoneLine,
    ErrorLine,
    Proof,
    ProofRequest,
    RuntimeHealth,
    Start,
    StartLine,
    StreamLine,
)

_LINE: TypeAdapter[StreamLine] = TypeAdapter(StreamLine)
_ERRORS: Final[dict[str, type[AppError]]] = {
    "invalid": Invalid,
    "not_found": NotFound,
    "rate_limited": RateLimited,
    "unavailable": Unavailable,
    "internal": Unavailable,
}
# between two lines of a stream: a long prompt on a CPU, behind others, takes this long at worst
_READ_TIMEOUT_S = 300.0
_HEALTH_TIMEOUT_S = 3.0


class InferenceClient:
    """Talks to one runtime. Safe to share between threads; `stream` belongs to an event loop."""

    def __init__(self, settings: Settings, *, read_timeout_s: float = _READ_TIMEOUT_S) -> None:
        self._url = settings.inference_url.rstrip("/")
        self._headers = {"authorization": f"Bearer {settings.inference_token}"}
        self._timeout = httpx.Timeout(read_timeout_s, connect=5.0)
        # the runtime is a neighbour: a proxy of the environment must not see prompts
        self._sync = httpx.Client(headers=self._headers, timeout=self._timeout, trust_env=False)

    def close(self) -> None:
        self._sync.close()

    def chat(self, request: ChatRequest) -> ChatResult:
        """The whole answer. Raises `Invalid`, `NotFound`, `RateLimited` or `Unavailable`."""
        texts: list[str] = []
        try:
            with self._sync.stream("POST", f"{self._url}/generate", json=request.model_dump(mode="json")) as response:
                if response.status_code != httpx.codes.OK:
                    raise _refusal(response.status_code, response.read())
                for delta in _deltas(response.iter_lines()):
                    texts.append(delta.text)
                    if delta.usage and delta.finish_reason:
                        return ChatResult(
                            text="".join(texts),
                            finish_reason=delta.finish_reason,
                            **delta.usage.model_dump(),
                        )
        except httpx.HTTPError as error:
            raise _unreachable(error) from error
        raise _cut_off()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """The answer in pieces. Closing it (`aclosing`) cancels the generation; errors as in `chat`."""
        client = httpx.AsyncClient(headers=self._headers, timeout=self._timeout, trust_env=False)
        body = request.model_dump(mode="json")
        try:
            async with client, client.stream("POST", f"{self._url}/generate", json=body) as response:
                if response.status_code != httpx.codes.OK:
                    raise _refusal(response.status_code, await response.aread())
                async for line in response.aiter_lines():
                    delta = _delta(line)
                    yield delta
                    if delta.finish_reason:
                        return
        except httpx.HTTPError as error:
            raise _unreachable(error) from error
        raise _cut_off()

    def prove(self, request: ProofRequest) -> Proof:
        """Have an adapter compared with what its trainer wrote down. Errors as in `chat`."""
        try:
            response = self._sync.post(f"{self._url}/prove", json=request.model_dump(mode="json"))
        except httpx.HTTPError as error:
            raise _unreachable(error) from error
        if response.status_code != httpx.codes.OK:
            raise _refusal(response.status_code, response.content)
        try:
            return Proof.model_validate_json(response.content)
        except ValidationError as error:
            raise _cut_off() from error

    def health(self) -> RuntimeHealth:
        """Raises `Unavailable` when the runtime does not answer."""
        try:
            response = self._sync.get(f"{self._url}/health", timeout=_HEALTH_TIMEOUT_S)
            response.raise_for_status()
            return RuntimeHealth.model_validate_json(response.content)
        except (httpx.HTTPError, ValidationError) as error:
            raise _unreachable(error) from error


def _deltas(lines: Iterator[str]) -> Iterator[ChatDelta]:
    return (_delta(line) for line in lines)


def _delta(line: str) -> ChatDelta:
    try:
        parsed = _LINE.validate_json(line)
    except ValidationError as error:
        raise _cut_off() from error
    match parsed:
        case StartLine():
            return ChatDelta(start=Start(fingerprint=parsed.fingerprint, prompt_tokens=parsed.prompt_tokens))
        case DeltaLine():
            return ChatDelta(text=parsed.text, logprobs=parsed.logprobs, tool_calls=parsed.tool_calls)
        case DoneLine():
            return ChatDelta(finish_reason=parsed.finish_reason, usage=parsed.usage)
        case ErrorLine():
            raise _raised(parsed)


def _raised(line: ErrorLine) -> AppError:
    return _ERRORS[line.category](line.message, code=line.code, param=line.param, details=line.details)


def _refusal(status: int, body: bytes) -> AppError:
    try:
        return _raised(ErrorLine.model_validate_json(body))
    except ValidationError:
        return Unavailable(
            f"The model server refused the request (status {status}). An admin should look at its log.",
            code="inference_unavailable",
        )


def _unreachable(error: Exception) -> Unavailable:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return Unavailable(
            "The model server is starting or not running. Try again in a minute.", code="inference_unavailable"
        )
    if isinstance(error, httpx.TimeoutException):
        return Unavailable(
            "The model server took too long to answer. Try a shorter prompt, or again later.",
            code="inference_timeout",
        )
    return Unavailable("The connection to the model server broke. Try again.", code="inference_unavailable")


def _cut_off() -> Unavailable:
    return Unavailable("The model server stopped in the middle of the answer. Try again.", code="inference_cut_off")
