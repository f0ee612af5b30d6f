"""The chat completions wire. What we cannot do and what would change the answer is refused, never ignored."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.errors import Invalid
from core.inference.types import MAX_STOPS, Message, Sampling

MAX_CHOICES = 8
DEFAULT_MAX_TOKENS = 512


class TextPart(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: str
    text: str | None = None


class MessageBody(BaseModel):
    model_config = ConfigDict(extra="allow")

    role: str
    content: str | list[TextPart] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class StreamOptions(BaseModel):
    include_usage: bool = False
    include_obfuscation: bool = False


class ChatBody(BaseModel):
    """Every field of the wire, so that none is dropped unseen."""

    model_config = ConfigDict(extra="forbid")

    model: str
    messages: list[MessageBody] = Field(min_length=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    n: int | None = Field(None, ge=1, le=MAX_CHOICES)
    stop: str | list[str] | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    seed: int | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None

    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[dict[str, Any]] | None = None
    function_call: str | dict[str, Any] | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None

    # these do not change what the model says here
    store: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None

    def refuse_unsupported(self) -> None:
        """Raises `Invalid` (`unsupported_parameter`) for the first field that would change the answer."""
        asked = {
            "presence_penalty": bool(self.presence_penalty),
            "frequency_penalty": bool(self.frequency_penalty),
            "logit_bias": bool(self.logit_bias),
            "logprobs": bool(self.logprobs),
            "top_logprobs": bool(self.top_logprobs),
            "response_format": self.response_format is not None and self.response_format.get("type") != "text",
            "tools": bool(self.tools),
            "tool_choice": self.tool_choice not in {None, "none", "auto"} if _is_text(self.tool_choice) else True,
            "functions": bool(self.functions),
            "function_call": self.function_call not in {None, "none", "auto"} if _is_text(self.function_call) else True,
            "modalities": self.modalities is not None and self.modalities != ["text"],
            "audio": self.audio is not None,
            "web_search_options": self.web_search_options is not None,
        }
        for name, is_asked in asked.items():
            if is_asked:
                raise Invalid(
                    f"{name} is not available here, and leaving it out silently would change the answer. "
                    f"Send the request without {name}.",
                    code="unsupported_parameter",
                    param=name,
                )

    def to_messages(self) -> tuple[Message, ...]:
        return tuple(_message(message, index) for index, message in enumerate(self.messages))

    def to_sampling(self, *, choice: int) -> Sampling:
        """Choice 0 has the seed asked for, the others the seeds after it, so that they differ and can be repeated."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if len(stops) > MAX_STOPS or not all(stops):
            raise Invalid(
                f"stop may hold up to {MAX_STOPS} texts, none of them empty.", code="out_of_range", param="stop"
            )
        for text in stops:
            text.encode()  # half a surrogate pair is refused here as it is in messages, not by the shape of Sampling
        return Sampling(
            max_tokens=self.max_completion_tokens or self.max_tokens or DEFAULT_MAX_TOKENS,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            stop=tuple(stops),
            seed=None if self.seed is None else self.seed + choice,
        )


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


_ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


def _message(message: MessageBody, index: int) -> Message:
    role = _ROLES.get(message.role)
    if role is None or message.tool_calls:
        raise Invalid(
            f"Message {index} is a tool's; this service speaks with system, developer, user and assistant messages.",
            code="unsupported_parameter",
            param=f"messages.{index}.role",
        )
    if message.content is None or isinstance(message.content, str):
        return Message(role=role, content=message.content or "")
    for part in message.content:
        if part.type != "text" or part.text is None:
            raise Invalid(
                f"Message {index} has a part of type {part.type!r}; only text can be read.",
                code="unsupported_parameter",
                param=f"messages.{index}.content",
            )
    return Message(role=role, content="".join(part.text or "" for part in message.content))


class AnswerMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    index: int
    message: AnswerMessage
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class UsageBlock(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: UsageBlock
    system_fingerprint: str | None = None
