"""What is asked of the inference runtime and what it answers: the internal protocol, shared by both ends."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_STOPS = 4


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AdapterFile(_Value):
    """One file of an adapter, readable at a presigned URL, so the runtime needs no storage credentials."""

    name: str
    url: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    num_bytes: int = Field(ge=0)


class AdapterRef(_Value):
    """An adapter by content. `digest` is the cache key: the same digest is never downloaded twice."""

    id: str
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    files: tuple[AdapterFile, ...]


class Message(_Value):
    role: Literal["system", "user", "assistant"]
    content: str


class Sampling(_Value):
    max_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), max_length=MAX_STOPS)
    seed: int | None = None


class ChatRequest(_Value):
    base_model: str
    messages: tuple[Message, ...] = Field(min_length=1)
    adapter: AdapterRef | None = None
    # the base an adapter was trained on: a QLoRA adapter is served on the rounded weights it learned to correct
    quantization: Literal["nf4"] | None = None
    sampling: Sampling = Sampling()


FinishReason = Literal["stop", "length"]


class Usage(_Value):
    prompt_tokens: int
    completion_tokens: int
    # the time this sequence was worked on, not the time it waited for others
    seconds: float
    # the key of the price of where it was worked on
    hardware: str = "cpu"


class ChatDelta(_Value):
    """A piece of the answer. The last one carries `finish_reason` and `usage`, and its text may be empty."""

    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


class ChatResult(_Value):
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    seconds: float


class RuntimeHealth(_Value):
    """`loading`: the default model is being read. `ready`: answers. `failed`: it could not be read."""

    status: Literal["loading", "ready", "failed"]
    base_models: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    active: int = 0
    waiting: int = 0
    problem: str | None = None


class DeltaLine(_Value):
    type: Literal["delta"] = "delta"
    text: str


class DoneLine(_Value):
    type: Literal["done"] = "done"
    finish_reason: FinishReason
    usage: Usage


class ErrorLine(_Value):
    """`category` names the class of `core.errors` that the client raises."""

    type: Literal["error"] = "error"
    category: Literal["invalid", "not_found", "rate_limited", "unavailable", "internal"]
    code: str
    message: str
    param: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)


StreamLine = Annotated[DeltaLine | DoneLine | ErrorLine, Field(discriminator="type")]
