"""Answers on the chat completions wire. What is not asked for, and would be null, is left out where OpenAI does so."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from core.inference.types import FinishReason
from core.serving.completions.types import Origin, Outcome


def _is_none(value: object) -> bool:
    return value is None


class TopLogprobBody(BaseModel):
    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprobBody(TopLogprobBody):
    top_logprobs: list[TopLogprobBody]


class LogprobsBody(BaseModel):
    content: list[TokenLogprobBody]
    refusal: None = None


class CalledFunction(BaseModel):
    name: str
    arguments: str


class AnsweredToolCall(BaseModel):
    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class AnswerMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: Annotated[list[AnsweredToolCall] | None, Field(exclude_if=_is_none)] = None


class Choice(BaseModel):
    index: int
    message: AnswerMessage
    finish_reason: FinishReason
    logprobs: LogprobsBody | None = None


class PromptTokensDetails(BaseModel):
    cached_tokens: int = Field(
        0, description="Those that were known from an earlier prompt of this workspace, and not read again."
    )


class UsageBlock(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    # none of an answer that was kept before they were counted
    prompt_tokens_details: PromptTokensDetails = PromptTokensDetails()


class ServedBy(BaseModel):
    """Which model answered for an alias."""

    model: str
    release: int
    profile: int | None


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: UsageBlock
    system_fingerprint: str | None = None
    served_by: Annotated[
        ServedBy | None, Field(exclude_if=_is_none, description="Ours: who answered for an alias.")
    ] = None
    service_tier: Annotated[Literal["default"] | None, Field(exclude_if=_is_none)] = None


class KeptCompletion(ChatCompletion):
    """An answer that was asked for with `store`, with what it was asked with."""

    metadata: dict[str, str]
    temperature: float
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    seed: int | None
    tools: list[dict[str, Any]] | None
    tool_choice: str | dict[str, Any] | None
    response_format: dict[str, Any] | None
    # ours
    question: str = Field(description="The beginning of what a user said last, for lists.")
    origin: Origin = Field(description="`stored` if the request asked for it, `logged` by the workspace's request log.")
    outcome: Outcome = Field(description="Of a request that is `failed` or `cancelled` there are no choices.")
    error_code: str | None
    served_model: str | None = Field(description="Who answered; `model` is the name that was asked for.")
    release: int | None = Field(description="Of an alias.")
    api_key_id: str | None
    latency_ms: int | None = Field(description="From the question to the end of the answer.")
    is_masked: bool = Field(description="Personal data was taken out before it was written.")
    expires_at: int | None = Field(description="When it is swept, in unix seconds; null if it stays.")


class KeptMessage(BaseModel):
    id: str
    role: str
    content: str | None
    name: str | None = None
    content_parts: list[dict[str, Any]] | None = None
    refusal: None = None
    tool_calls: Annotated[list[dict[str, Any]] | None, Field(exclude_if=_is_none)] = None
    tool_call_id: Annotated[str | None, Field(exclude_if=_is_none)] = None


class DeletedCompletion(BaseModel):
    id: str
    object: Literal["chat.completion.deleted"] = "chat.completion.deleted"
    deleted: Literal[True] = True
