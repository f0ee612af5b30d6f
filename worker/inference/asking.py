"""From what is asked to the tokens of a prompt, for every runtime alike."""

from typing import Any

from core.errors import Invalid
from core.inference.types import ChatRequest, Message
from worker.inference.contract import Reader


def prompt_ids_of(request: ChatRequest, reader: Reader) -> list[int]:
    """Raises `Invalid` for tools that the model cannot call and for biases of tokens that it does not have."""
    if request.tools and reader.chat_format.call_syntax is None:
        raise Invalid(
            "This base model's chat template has no place for tools, or writes calls of them in no way that can be "
            "read back. Choose a base model that calls tools, or leave them out.",
            code="tools_unsupported",
            param="tools",
        )
    _refuse_unknown_tokens(request, reader)
    messages = [_as_on_the_wire(message) for message in request.messages]
    return reader.chat_format.render_prompt(messages, tools=request.tools or None)


def refuse_if_too_long(num_prompt_tokens: int, *, num_readable: int) -> None:
    """At least one place must be left for the answer."""
    if num_prompt_tokens >= num_readable:
        raise Invalid(
            f"The conversation has {num_prompt_tokens} tokens and this model reads at most {num_readable - 1}. "
            "Shorten it, or start a new one.",
            code="context_length_exceeded",
            param="messages",
            details={"prompt_tokens": num_prompt_tokens, "max_prompt_tokens": num_readable - 1},
        )


def _as_on_the_wire(message: Message) -> dict[str, Any]:
    written = message.model_dump(exclude={"tool_calls"}, exclude_none=True)
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in message.tool_calls
    ]
    return written | ({"tool_calls": calls} if calls else {})


def _refuse_unknown_tokens(request: ChatRequest, reader: Reader) -> None:
    unknown = [token_id for token_id in request.sampling.logit_bias if not 0 <= token_id < reader.num_scores]
    if unknown:
        raise Invalid(
            f"logit_bias names the token {unknown[0]}, and this model's tokens are numbered 0 to "
            f"{reader.num_scores - 1}.",
            code="unknown_token",
            param="logit_bias",
        )
