"""The request of chat completions. Every field of the wire is taken or refused by name, never ignored unseen.

`docs/chat.md` says of each what it does here.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from api.chat.constraints import ResponseFormat, ToolBody, ToolChoice, to_constraint
from api.chat.messages import MessageBody, as_stored, to_messages
from api.schemas import RequestBody
from core.errors import Invalid
from core.inference.types import MAX_STOPS, MAX_TOP_LOGPROBS, Constraint, Message, Sampling

MAX_CHOICES = 8
# what many of OpenAI's own models write at most
DEFAULT_MAX_TOKENS = 4096
MAX_METADATA_PAIRS = 16
_MAX_DEPTH = 100

Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=MAX_METADATA_PAIRS),
]
Penalty = Annotated[float, Field(ge=-2, le=2)]
# by its format: FastAPI writes limits as floats, and none is so exact
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63), WithJsonSchema({"type": "integer", "format": "int64"})]
_DIGITS = r"^[0-9]{1,7}$"
LogitBias = Annotated[
    dict[Annotated[str, Field(pattern=_DIGITS)], Annotated[float, Field(ge=-100, le=100)]],
    Field(max_length=1024),
    # pydantic's own does not say that there are no other keys
    WithJsonSchema(
        {
            "type": "object",
            "patternProperties": {_DIGITS: {"type": "number", "minimum": -100, "maximum": 100}},
            "additionalProperties": False,
            "maxProperties": 1024,
        }
    ),
]

# said again by the list of kept answers
_KEPT: Final = (
    *("temperature", "top_p", "presence_penalty", "frequency_penalty", "logit_bias", "stop", "seed", "n"),
    *("max_tokens", "max_completion_tokens", "tools", "tool_choice", "parallel_tool_calls", "response_format"),
)


class StreamOptions(RequestBody):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatBody(RequestBody):
    """Every field of the wire, so that none is dropped unseen."""

    model: str
    messages: list[MessageBody] = Field(min_length=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    n: int | None = Field(None, ge=1, le=MAX_CHOICES)
    stop: str | list[str] | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    seed: Int64 | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: LogitBias | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    tools: list[ToolBody] | None = Field(None, max_length=128)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    store: bool | None = None
    metadata: Metadata | None = None

    response_format: ResponseFormat | None = None
    functions: list[dict[str, Any]] | None = None
    function_call: str | dict[str, Any] | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    moderation: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None

    # these do not change what the models here say
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    prediction: dict[str, Any] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None

    @property
    def num_choices(self) -> int:
        return self.n or 1

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def wants_obfuscation(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_obfuscation)

    def check(self) -> None:
        """Raises `Invalid` for fields that contradict each other, and for the first that is not available here."""
        # half a surrogate pair, which JSON can spell, ends here as it does wherever it would be stored
        "".join(_strings(self)).encode()
        for name, why in _contradictions(self):
            raise Invalid(why, code="invalid_value", param=name)
        for name in _not_available(self):
            raise Invalid(
                f"{name} is not available here, and leaving it out silently would change the answer. "
                f"Send the request without {name}.",
                code="unsupported_parameter",
                param=name,
            )

    def num_bytes_to_read(self) -> int:
        """Of all texts that the model is shown."""
        return sum(len(text.encode()) for part in (self.messages, self.tools) for text in _strings(part))

    def to_messages(self) -> tuple[Message, ...]:
        return to_messages(self.messages)

    def to_tools(self) -> tuple[dict[str, Any], ...]:
        """What the model is told of; nothing where it must not call."""
        if self.tool_choice == "none":
            return ()
        return tuple(tool.model_dump(exclude_none=True) for tool in self.tools or ())

    def to_constraint(self) -> Constraint | None:
        """What the answer is made to be; None where the model may say what it likes."""
        return to_constraint(self.response_format, self.tools or (), self.tool_choice)

    def to_sampling(self, *, choice: int, defaults: Mapping[str, Any] | None = None) -> Sampling:
        """Choice 0 has the seed asked for, the others the seeds after it, so that they differ and can be repeated.

        `defaults` are a prompt profile's: they hold where the request says nothing.
        """
        default: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0, "max_tokens": DEFAULT_MAX_TOKENS} | dict(
            defaults or {}
        )
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if len(stops) > MAX_STOPS or not all(stops):
            raise Invalid(
                f"stop may hold up to {MAX_STOPS} texts, none of them empty.", code="out_of_range", param="stop"
            )
        return Sampling(
            max_tokens=self.max_completion_tokens or self.max_tokens or default["max_tokens"],
            temperature=default["temperature"] if self.temperature is None else self.temperature,
            top_p=default["top_p"] if self.top_p is None else self.top_p,
            stop=tuple(stops),
            seed=None if self.seed is None else self.seed + choice,
            presence_penalty=self.presence_penalty or 0.0,
            frequency_penalty=self.frequency_penalty or 0.0,
            logit_bias={int(token_id): bias for token_id, bias in (self.logit_bias or {}).items()},
            top_logprobs=(self.top_logprobs or 0) if self.logprobs else None,
        )

    def routing_key(self) -> str:
        """Who asks, where the request says it; else the conversation, by how it began. The same answers through it."""
        if who := self.user or self.safety_identifier:
            return f"user:{who}"
        first = next((message for message in self.messages if message.role == "user"), self.messages[0])
        return f"conversation:{json.dumps(as_stored(first), sort_keys=True)}"

    def messages_to_keep(self) -> list[Any]:
        return [as_stored(message) for message in self.messages]

    def parameters_to_keep(self) -> dict[str, Any]:
        return self.model_dump(mode="json", include=set(_KEPT), exclude_none=True)


def _contradictions(body: ChatBody) -> Iterator[tuple[str, str]]:
    if body.top_logprobs is not None and not body.logprobs:
        yield "top_logprobs", "top_logprobs needs logprobs: true beside it."
    if body.stream_options is not None and not body.stream:
        yield "stream_options", "stream_options are for answers with stream: true."
    limits = {body.max_tokens, body.max_completion_tokens} - {None}
    if len(limits) > 1:
        yield "max_tokens", "max_tokens and max_completion_tokens say different things. Send one of them."
    names = [tool.function.name for tool in body.tools or () if tool.function]
    if len(set(names)) < len(names):
        yield "tools", "Two tools have the same name."


def _not_available(body: ChatBody) -> Iterator[str]:
    """Where nothing makes sure of what the field promises, it is refused rather than tried."""
    yield from _tools_not_available(body.tools or ())
    if body.functions:
        yield "functions"
    if body.function_call not in (None, "none", "auto"):
        yield "function_call"
    if body.modalities not in (None, ["text"]):
        yield "modalities"
    for name in ("audio", "moderation", "web_search_options"):
        if getattr(body, name) is not None:
            yield name


def _tools_not_available(tools: Sequence[ToolBody]) -> Iterator[str]:
    for index, tool in enumerate(tools):
        if tool.type != "function" or tool.function is None:
            yield f"tools.{index}.type"


def _strings(body: object) -> Iterator[str]:
    """Every text in a body, however deep, down to where nothing is meant any more."""
    stack: list[tuple[object, int]] = [(body, 0)]
    while stack:
        value, depth = stack.pop()
        if depth > _MAX_DEPTH:
            raise Invalid(f"The body is nested deeper than {_MAX_DEPTH} levels.", code="out_of_range")
        if isinstance(value, str):
            yield value
        elif isinstance(value, BaseModel):
            stack += [(item, depth + 1) for _, item in value]
        elif isinstance(value, dict):
            yield from map(str, value)
            stack += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list):
            stack += [(item, depth + 1) for item in value]
