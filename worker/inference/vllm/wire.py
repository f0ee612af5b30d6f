"""vLLM's HTTP: prompts as tokens, answers as tokens with log probabilities, adapters loaded and unloaded by name.

The chat template, stop strings and calls of tools stay ours, so that a model is asked in the very form it was trained
in, and its answer is read as our own runtime reads it.
"""

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from core.errors import AppError, Unavailable
from core.inference.types import Sampling
from worker.inference.logprobs import Told

# an engine that says nothing for so long is hung; a long prompt behind others takes a while on a processor
_READ_TIMEOUT_S: Final = 300.0
_LOOK_TIMEOUT_S: Final = 10.0
_RETRY_AFTER_S: Final = 30
_SERVER_ERROR: Final = 500
_TOKEN: Final = "token_id:"  # noqa: S105 - how vLLM writes a token
# at most so many tokens are scored by id (vLLM's MAX_LOGPROB_TOKEN_IDS)
MAX_SCORED: Final = 128


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of vLLM's stream: tokens with what the model thought of each, and why the answer ended, if it did."""

    tokens: Sequence[tuple[int, Told]]
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer, as vLLM is asked for it. `model` is the base's name, or an adapter's."""

    model: str
    prompt_ids: Sequence[int]
    sampling: Sampling
    max_tokens: int
    end_ids: Sequence[int]
    workspace_id: str = ""
    # of the library `llguidance`: what the answer is made to be
    grammar: str | None = None

    def body(self) -> dict[str, Any]:
        sampling = self.sampling
        asked: dict[str, Any] = {
            "model": self.model,
            "prompt": list(self.prompt_ids),
            "stream": True,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
            "add_special_tokens": False,
            "max_tokens": self.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            # whatever the model's own folder recommends is not what was asked for
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "stop_token_ids": list(self.end_ids),
        }
        if sampling.logit_bias:
            asked["logit_bias"] = {str(token_id): bias for token_id, bias in sampling.logit_bias.items()}
        if sampling.seed is not None:
            asked["seed"] = sampling.seed % (1 << 62)
        if sampling.top_logprobs is not None:
            asked["logprobs"] = sampling.top_logprobs
        if self.workspace_id:
            # what one workspace asked must not be told to another by how soon it is answered
            asked["cache_salt"] = self.workspace_id
        if self.grammar is not None:
            asked["structured_outputs"] = {"grammar": self.grammar}
        return asked


def client_of(uds: Path) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(uds=str(uds), limits=httpx.Limits(max_connections=None))
    timeout = httpx.Timeout(_READ_TIMEOUT_S, connect=5.0)
    return httpx.AsyncClient(transport=transport, base_url="http://engine", timeout=timeout, trust_env=False)


class Wire:
    """Belongs to one event loop. What breaks is raised as `broken` says: the engine knows whether it is its end."""

    def __init__(self, http: httpx.AsyncClient, broken: Callable[[], AppError]) -> None:
        self._http = http
        self._broken = broken

    async def close(self) -> None:
        await self._http.aclose()

    async def is_well(self) -> bool:
        try:
            return (await self._http.get("/health", timeout=_LOOK_TIMEOUT_S)).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    async def version(self) -> str:
        answer = await self._send("GET", "/version", None)
        return str(answer.json().get("version", "unknown"))

    async def load(self, name: str, folder: Path) -> None:
        body = {"lora_name": name, "lora_path": str(folder)}
        await self._send("POST", "/v1/load_lora_adapter", body)

    async def unload(self, name: str) -> None:
        await self._send("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    async def complete(self, asked: Asked) -> AsyncGenerator[Step, None]:
        """The answer, token by token. Closing it makes vLLM stop."""
        try:
            async with self._http.stream("POST", "/v1/completions", json=asked.body()) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise refusal(answer.status_code, await answer.aread())
                async for line in answer.aiter_lines():
                    step = read_step(line)
                    if step is not None:
                        yield step
                    if step is not None and step.finish_reason:
                        return
        except httpx.HTTPError as error:
            raise self._broken() from error
        except EngineRefused as error:
            # an engine whose computing process is gone says so before it ends
            raise (self._broken() if error.status >= _SERVER_ERROR else error) from error
        raise self._broken()

    async def scores(self, model: str, prompt_ids: Sequence[int], wanted: Sequence[int]) -> list[float]:
        """Log probabilities of the `wanted` tokens after the prompt; -inf for what is not told."""
        body = {
            "model": model,
            "prompt": list(prompt_ids),
            "add_special_tokens": False,
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": 1,
            "logprob_token_ids": list(wanted),
            "return_tokens_as_token_ids": True,
        }
        answer = await self._send("POST", "/v1/completions", body)
        (told,) = answer.json()["choices"][0]["logprobs"]["top_logprobs"]
        return [told.get(f"{_TOKEN}{token_id}", float("-inf")) for token_id in wanted]

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise self._broken() from error
        if answer.status_code != httpx.codes.OK:
            raise refusal(answer.status_code, answer.content)
        return answer


def read_step(line: str) -> Step | None:
    """A line of the stream; None for one that brings no token. Raises `Unavailable` for what is no answer of vLLM's."""
    data = line.removeprefix("data:").strip()
    if not line.startswith("data:") or data == "[DONE]":
        return None
    try:
        piece = json.loads(data)
        if "error" in piece:
            raise refusal(_SERVER_ERROR, data.encode())
        if not piece["choices"]:
            return None
        choice = piece["choices"][0]
        return Step(tokens=list(_tokens(choice)), finish_reason=choice.get("finish_reason"))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise _not_understood() from error


def _tokens(choice: Mapping[str, Any]) -> Sequence[tuple[int, Told]]:
    ids: list[int] = choice.get("token_ids") or []
    told = choice.get("logprobs")
    if not told:
        return [(token_id, Told(chosen=0.0)) for token_id in ids]
    found = []
    for token_id, logprob, top in zip(ids, told["token_logprobs"], told["top_logprobs"], strict=True):
        ranked = sorted(((_id_of(name), value) for name, value in (top or {}).items()), key=lambda one: -one[1])
        found.append((token_id, Told(chosen=logprob, top=ranked)))
    return found


def _id_of(token: str) -> int:
    return int(token.removeprefix(_TOKEN))


def refusal(status: int, body: bytes) -> "EngineRefused":
    """What vLLM says goes to the log by way of the details; a person is told what to do."""
    try:
        said = str(json.loads(body)["error"]["message"])[:500]
    except (ValueError, KeyError, TypeError):
        said = body[:200].decode(errors="replace")
    return EngineRefused(status, said)


class EngineRefused(Unavailable):
    """vLLM answered, and not with what was asked for."""

    code = "engine_refused"

    def __init__(self, status: int, said: str) -> None:
        super().__init__(
            "vLLM refused what it was asked for. An admin should look at its log in the folder of logs.",
            details={"status": status},
        )
        self.status = status
        self.said = said


def _not_understood() -> Unavailable:
    return Unavailable(
        "vLLM answered with something that is no answer. An admin should see whether its version is the pinned one.",
        code="engine_refused",
    )


def starting(model: str, problem: str | None = None) -> Unavailable:
    why = f" The last attempt failed: {problem}" if problem else ""
    return Unavailable(
        f"The model server for {model} is starting, which takes a minute or more. Try again then.{why}",
        code="engine_starting",
        details={"retry_after_s": _RETRY_AFTER_S},
    )


def died(model: str) -> Unavailable:
    return Unavailable(
        f"The model server for {model} ended in the middle of this answer, and is being started again. "
        "Ask again in a minute.",
        code="engine_died",
        details={"retry_after_s": _RETRY_AFTER_S},
    )
