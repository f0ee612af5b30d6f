"""One chat request on its way: what its answers came to so far, metered once, and kept if that was asked for.

No database session is held while it is spoken.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from api.chat.choices import side_by_side
from api.chat.messages import with_system_prompt
from api.chat.metrics import AnsweredChat, ChatMetrics
from api.chat.requests import ChatBody
from api.chat.schemas import (
    AnsweredToolCall,
    AnswerMessage,
    CalledFunction,
    ChatCompletion,
    Choice,
    LogprobsBody,
    PromptTokensDetails,
    ServedBy,
    TokenLogprobBody,
    UsageBlock,
)
from api.chat.token_limit import TokenAllowance
from api.streaming import run_to_the_end
from core.db.session import Database, workspace_scope
from core.errors import AppError, Unavailable
from core.inference.client import InferenceClient
from core.inference.types import ChatDelta, ChatRequest, FinishReason, TokenLogprob, ToolCall, Usage
from core.kit.clock import unix_s, utc_now
from core.kit.ids import new_id
from core.serving import service as serving
from core.serving.aliases.shadows import Shadows, ShadowTask
from core.serving.completions.keeper import CompletionKeeper
from core.serving.completions.types import LogRule, NewCompletion, Origin, Outcome
from core.serving.routing import Route, Voice
from core.serving.traffic import service as traffic
from core.serving.traffic.types import NewRequest
from core.workspaces.principal import Principal

logger = logging.getLogger(__name__)

# shorter than the patience of the proxies that stand before an api
_HEARTBEAT_S = 10.0


@dataclass(slots=True)
class Spoken:
    """What one answer came to so far."""

    texts: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    prompt_tokens: int = 0
    num_pieces: int = 0
    asked_s: float = 0.0
    began_s: float = 0.0
    latest_s: float = 0.0

    def hear(self, piece: ChatDelta) -> None:
        if piece.start:
            self.prompt_tokens = piece.start.prompt_tokens
            return
        self.latest_s = monotonic()
        self.began_s = self.began_s or self.latest_s
        self.num_pieces += 1
        self.texts.append(piece.text)
        self.logprobs += piece.logprobs
        self.tool_calls += piece.tool_calls
        self.finish_reason = piece.finish_reason or self.finish_reason
        self.usage = piece.usage or self.usage

    def told(self, *, model: str, alias: str) -> AnsweredChat:
        """For the metrics."""
        used, has_begun = self.use(), bool(self.num_pieces)
        num_more = used.completion_tokens - 1
        return AnsweredChat(
            model=model,
            alias=alias,
            outcome=self.finish_reason or "unfinished",
            completion_tokens=used.completion_tokens,
            waiting_s=used.waiting_s,
            first_token_s=self.began_s - self.asked_s if has_begun else None,
            next_token_s=(self.latest_s - self.began_s) / num_more if has_begun and num_more > 0 else None,
        )

    def use(self) -> Usage:
        """What was used. Of an answer that was cut off a piece is about a token, and our own clock is the best."""
        if self.usage:
            return self.usage
        return Usage(
            prompt_tokens=self.prompt_tokens if self.num_pieces else 0,
            completion_tokens=self.num_pieces,
            seconds=monotonic() - self.began_s if self.num_pieces else 0.0,
        )


@dataclass(slots=True)
class Conversation:
    """A checked request, and what is heard of its answers."""

    body: ChatBody
    route: Route
    principal: Principal
    database: Database
    inference: InferenceClient
    keeper: CompletionKeeper
    allowance: TokenAllowance
    shadows: Shadows
    metrics: ChatMetrics
    completion_id: str = field(default_factory=lambda: new_id("chatcmpl-"))
    log: LogRule = field(default_factory=LogRule)
    created: int = field(default_factory=lambda: unix_s(utc_now()))
    began_s: float = field(default_factory=monotonic)
    fingerprint: str | None = None
    spoken: list[Spoken] = field(default_factory=list)
    outcome: Outcome = Outcome.SUCCEEDED
    error_code: str | None = None

    def __post_init__(self) -> None:
        self.spoken = [Spoken() for _ in range(self.body.num_choices)]

    async def listen(self) -> AsyncGenerator[tuple[int, ChatDelta] | None, None]:
        """The pieces of all answers, noted down as they come; None now and then where there are none."""
        for one in self.spoken:
            one.asked_s = monotonic()
        sources = [self.inference.stream(self._request(index)) for index in range(len(self.spoken))]
        async with aclosing(side_by_side(sources, heartbeat_s=_HEARTBEAT_S)) as pieces:
            async for found in pieces:
                if found is not None:
                    index, piece = found
                    self.spoken[index].hear(piece)
                    self.fingerprint = piece.start.fingerprint if piece.start else self.fingerprint
                yield found

    @property
    def served_by(self) -> ServedBy | None:
        """Of an alias: the model that answers. Any other name is that of the model itself."""
        if self.route.release is None:
            return None
        voice = self.route.voice
        return ServedBy(model=voice.target.model_id, release=self.route.release, profile=voice.profile)

    def _request(self, choice: int, voice: Voice | None = None) -> ChatRequest:
        voice = voice or self.route.voice
        target = voice.target
        return ChatRequest(
            base_model=target.base_model,
            adapter=target.adapter,
            quantization=target.quantization,
            messages=with_system_prompt(self.body.to_messages(), voice.system_prompt),
            tools=self.body.to_tools(),
            may_call_several=self.body.parallel_tool_calls is not False,
            constraint=self.body.to_constraint(),
            sampling=self.body.to_sampling(choice=choice, defaults=voice.sampling),
            workspace_id=self.principal.workspace_id,
        )

    @property
    def usage(self) -> UsageBlock:
        used = [one.use() for one in self.spoken]
        # every choice reads the same prompt: its tokens count once
        prompt_tokens = max(one.prompt_tokens for one in used)
        completion_tokens = sum(one.completion_tokens for one in used)
        return UsageBlock(
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            total_tokens=prompt_tokens + completion_tokens,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=min(one.cached_tokens for one in used)),
        )

    def answer(self) -> ChatCompletion:
        """All of it. Raises `Unavailable` where an answer has no end."""
        return ChatCompletion(
            id=self.completion_id,
            created=self.created,
            model=self.route.asked,
            served_by=self.served_by,
            choices=[self._choice(index, one) for index, one in enumerate(self.spoken)],
            usage=self.usage,
            system_fingerprint=self.fingerprint,
            service_tier="default" if self.body.service_tier else None,
        )

    def _choice(self, index: int, spoken: Spoken) -> Choice:
        if spoken.finish_reason is None:
            raise Unavailable(
                "The model server stopped in the middle of the answer. Try again.", code="inference_cut_off"
            )
        calls = [answered_call(call) for call in spoken.tool_calls]
        text = "".join(spoken.texts)
        message = AnswerMessage(content=None if calls and not text else text, tool_calls=calls or None)
        logprobs = logprobs_body(spoken.logprobs) if self.body.logprobs else None
        return Choice(index=index, message=message, finish_reason=spoken.finish_reason, logprobs=logprobs)

    def keep(self) -> None:
        """Hand the whole answer to the keeper, if the request asks for it or the log is on. Returns at once."""
        answer = self.answer()
        if self.body.store or self._is_logged:
            origin = Origin.STORED if self.body.store else Origin.LOGGED
            self._give(answer.model_dump(mode="json", exclude={"id", "object", "model"}), origin=origin)

    def log_broken(self, error: BaseException) -> None:
        """Note that there was no answer, and why; hand it to the keeper if the log is on. Before `settle`."""
        is_gone = isinstance(error, asyncio.CancelledError | GeneratorExit)
        self.error_code = error.error_code if isinstance(error, AppError) else None if is_gone else "internal_error"
        self.outcome = Outcome.CANCELLED if is_gone else Outcome.FAILED
        if self._is_logged:
            answer = {"created": self.created, "choices": [], "usage": self.usage.model_dump(mode="json")}
            self._give(answer, origin=Origin.LOGGED, outcome=self.outcome, error_code=self.error_code)

    @property
    def _is_logged(self) -> bool:
        """`store: false` is heard, too."""
        return self.log.is_on and self.body.store is not False

    def _give(
        self,
        answer: dict[str, Any],
        *,
        origin: Origin,
        outcome: Outcome = Outcome.SUCCEEDED,
        error_code: str | None = None,
    ) -> None:
        self.keeper.give(
            NewCompletion(
                id=self.completion_id,
                workspace_id=self.principal.workspace_id,
                created_by=self.principal.user_id,
                model=self.route.asked,
                messages=self.body.messages_to_keep(),
                parameters=self.body.parameters_to_keep(),
                answer=answer,
                metadata=self.body.metadata or {},
                origin=origin,
                outcome=outcome,
                served_model=self.route.voice.target.model_id,
                release=self.route.release,
                api_key_id=self.principal.api_key_id,
                latency_ms=round((monotonic() - self.began_s) * 1000),
                error_code=error_code,
                is_masked=self.log.is_on and self.log.is_masked,
                asked_s=self.began_s,
            )
        )

    def ask_shadow(self) -> None:
        """Have the alias's shadow answer the same, after the answer was given. Returns at once."""
        shadow, release, alias_id = self.route.shadow, self.route.release, self.route.alias_id
        if shadow is None or release is None or alias_id is None:
            return
        task = ShadowTask(
            request=self._request(0, shadow),
            target=shadow.target,
            workspace_id=self.principal.workspace_id,
            alias_id=alias_id,
            alias=self.route.asked,
            release=release,
            completion_id=self.completion_id,
            shown_model=self.route.voice.target.model_id,
            shown_text="".join(self.spoken[0].texts),
            created_by=self.principal.user_id,
            asked_s=self.began_s,
        )
        self.shadows.ask(task, self.inference)

    async def settle(self) -> None:
        """Pay for what was used, and count it. Never raises: the answer is given."""
        self._count()
        await self.allowance.settle(self.usage.total_tokens)
        await run_to_the_end(self._write_down)

    @property
    def _alias(self) -> str | None:
        return None if self.route.release is None else self.route.asked

    def _count(self) -> None:
        model, alias = self.route.voice.target.model_id, self._alias or ""
        usage = self.usage
        recalled = usage.prompt_tokens_details.cached_tokens
        self.metrics.note_prompt(model=model, alias=alias, num_tokens=usage.prompt_tokens, num_recalled=recalled)
        for one in self.spoken:
            self.metrics.note(one.told(model=model, alias=alias))

    def _write_down(self) -> None:
        """What it cost, and how it went, in a short session of its own."""
        seconds = sum(one.use().seconds for one in self.spoken)
        try:
            with self.database.session(workspace_scope(self.principal.workspace_id)) as session:
                traffic.note(session, self._served_request())
                if seconds:
                    serving.meter(
                        session,
                        workspace_id=self.principal.workspace_id,
                        completion_id=self.completion_id,
                        hardware=next((one.usage.hardware for one in self.spoken if one.usage), "cpu"),
                        seconds=seconds,
                        num_tokens=self.usage.total_tokens,
                        created_by=self.principal.user_id,
                        model=self.route.voice.target.model_id,
                        alias=self._alias,
                    )
        except Exception:
            logger.exception("the use of %s was not entered in the ledger", self.completion_id)

    def _served_request(self) -> NewRequest:
        usage = self.usage
        first_s = [one.began_s - one.asked_s for one in self.spoken if one.num_pieces]
        return NewRequest(
            id=self.completion_id,
            workspace_id=self.principal.workspace_id,
            model=self.route.voice.target.model_id,
            alias=self._alias,
            outcome=self.outcome,
            error_code=self.error_code,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            first_token_ms=round(min(first_s) * 1000) if first_s else None,
            total_ms=round((monotonic() - self.began_s) * 1000),
        )


async def answer_whole(conversation: Conversation) -> ChatCompletion:
    """Raises the runtime's error; what was spoken before it is paid."""
    try:
        async with aclosing(conversation.listen()) as heard:
            async for _ in heard:
                pass
        answer = conversation.answer()
    except BaseException as error:
        conversation.log_broken(error)
        raise
    finally:
        await conversation.settle()
    conversation.keep()
    conversation.ask_shadow()
    return answer


def answered_call(call: ToolCall) -> AnsweredToolCall:
    return AnsweredToolCall(id=call.id, function=CalledFunction(name=call.name, arguments=call.arguments))


def logprobs_body(entries: list[TokenLogprob]) -> LogprobsBody:
    return LogprobsBody(content=[TokenLogprobBody.model_validate(entry.model_dump()) for entry in entries])
