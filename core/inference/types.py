"""What is asked of the inference runtime and what it answers: the internal protocol, shared by both ends."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_STOPS = 4
MAX_TOP_LOGPROBS = 20


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


class ToolCall(_Value):
    """A call of a function by the model. `arguments` is a JSON object as text, as it stands on the wire."""

    id: str
    name: str
    arguments: str


class Message(_Value):
    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


class Sampling(_Value):
    max_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), max_length=MAX_STOPS)
    seed: int | None = None
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    # by token id
    logit_bias: dict[int, Annotated[float, Field(ge=-100, le=100)]] = Field(default_factory=dict)
    # how many alternatives are told beside each token's log probability; None tells none of them
    top_logprobs: int | None = Field(default=None, ge=0, le=MAX_TOP_LOGPROBS)


class JsonShape(_Value):
    """JSON by a schema. The schema is text: the order of its properties is that of the answer's."""

    json_schema: str
    # what cannot be made sure of is refused, not overlooked
    is_strict: bool = True
    # where it stands in the request, for whoever must put it right
    param: str


class CallShape(JsonShape):
    """A call of a function, with arguments by the schema."""

    name: str


class Constraint(_Value):
    """What an answer is made to be, whatever the model would rather say: calls of one of these functions, or a text.

    The text is JSON where there is a `shape`, else any that is no call; with `must_call` there is none.
    """

    shape: JsonShape | None = None
    calls: tuple[CallShape, ...] = ()
    must_call: bool = False


class ChatRequest(_Value):
    base_model: str
    messages: tuple[Message, ...] = Field(min_length=1)
    # definitions of functions as on the wire; the model may call them
    tools: tuple[dict[str, Any], ...] = ()
    may_call_several: bool = True
    constraint: Constraint | None = None
    adapter: AdapterRef | None = None
    # the base an adapter was trained on: a QLoRA adapter is served on the rounded weights it learned to correct
    quantization: Literal["nf4"] | None = None
    sampling: Sampling = Sampling()
    # who is answered: the runtime lets no workspace take all places
    workspace_id: str = ""


class ProofRequest(_Value):
    """Is this adapter, served here, what was trained?"""

    base_model: str
    adapter: AdapterRef
    quantization: Literal["nf4"] | None = None


class Proof(_Value):
    """What the proof of an adapter came to. Differences are of scores (logits); none was made where it failed before.

    `code` and `reason` say why it failed.
    """

    is_passed: bool
    code: str | None = None
    reason: str | None = None
    num_rows: int = 0
    num_places: int = 0
    max_difference: float | None = None
    tolerance: float
    # root mean squares, where the base's own rounding says what they may be
    typical_difference: float | None = None
    typical_tolerance: float | None = None
    effect: float | None = None
    min_effect: float
    training_dtype: str
    serving_dtype: str
    hardware: str
    fingerprint: str
    template_sha256: str
    tokenizer_sha256: str
    base_sha256: str | None
    seconds: float = 0.0


FinishReason = Literal["stop", "length", "tool_calls"]


class TopLogprob(_Value):
    token: str
    logprob: float
    # null where the token stands for no text, as the one that ends an answer
    bytes: tuple[int, ...] | None


class TokenLogprob(TopLogprob):
    """A token of the answer: log_softmax of the model's own scores, before temperature, penalties and bias."""

    top_logprobs: tuple[TopLogprob, ...] = ()


class Usage(_Value):
    prompt_tokens: int
    # those of the prompt that were known from an earlier one, and not read again
    cached_tokens: int = 0
    completion_tokens: int
    # the time this sequence was worked on, not the time it waited for others
    seconds: float
    # the key of the price of where it was worked on
    hardware: str = "cpu"
    # before anything of it was computed: for a place, behind others; null where the runtime does not say
    waiting_s: float | None = None


class Start(_Value):
    """Said when the request has its place in the queue."""

    # stands for all that an equal seed depends on: weights, rounding, device, libraries
    fingerprint: str
    prompt_tokens: int


class ChatDelta(_Value):
    """A piece of the answer.

    The first carries `start` alone; the last carries `finish_reason` and `usage`, and its text may be empty.
    """

    start: Start | None = None
    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


class ChatResult(_Value):
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    cached_tokens: int = 0
    completion_tokens: int
    seconds: float
    hardware: str = "cpu"
    waiting_s: float | None = None


RuntimeName = Literal["tailorbird", "vllm"]


class AdapterUse(_Value):
    """How the adapters of one base model were had, from the start of the runtime on, for all of them together."""

    hits: int = 0
    """Answers whose adapter was in memory already."""
    misses: int = 0
    """Those for which it had to be loaded."""
    evictions: int = 0
    # from the disk or the object store, and from there into memory with all checks
    fetch_s: float = 0.0
    load_s: float = 0.0
    # of those in memory now; None where the runtime does not say
    num_bytes: int | None = None


class Residence(_Value):
    """A base model in the memory of our own runtime, or that was there since its start."""

    is_pinned: bool = False
    # with what it may recall of prompts; 0 while it is not loaded
    num_bytes: int = 0
    num_loads: int = 0
    num_evictions: int = 0
    num_refused: int = 0
    """Questions that were told to come back, as it had no room or no turn in time."""
    load_s: float = 0.0
    """Of all its loads together."""


class ServedBase(_Value):
    """A base model and what computes its answers.

    `starting`: nobody is answered yet. `restarting`: what computed ended, and is started again. `failed`: an admin is
    needed; `problem` says why. `evicted`: another has its place in memory, until somebody asks for it again.
    """

    base_model: str
    runtime: RuntimeName
    status: Literal["starting", "ready", "restarting", "failed", "evicted"]
    active: int = 0
    waiting: int = 0
    num_adapters: int = 0
    num_restarts: int = 0
    version: str | None = None
    # whether the process that computes has no network at all; None where it is this very process
    is_isolated: bool | None = None
    problem: str | None = None
    adapters: AdapterUse = AdapterUse()
    # None where the runtime has a process for each base, and none is ever evicted
    residence: Residence | None = None


class RuntimeHealth(_Value):
    """`loading`: the default model is being read. `ready`: answers. `failed`: it could not be read."""

    status: Literal["loading", "ready", "failed"]
    base_models: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    active: int = 0
    waiting: int = 0
    problem: str | None = None
    served: tuple[ServedBase, ...] = ()
    # what the base models of our own runtime may take together
    base_budget_bytes: int | None = None


class StartLine(Start):
    type: Literal["start"] = "start"


class DeltaLine(_Value):
    type: Literal["delta"] = "delta"
    text: str = ""
    # of the tokens of `text`
    logprobs: tuple[TokenLogprob, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()


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


StreamLine = Annotated[StartLine | DeltaLine | DoneLine | ErrorLine, Field(discriminator="type")]
