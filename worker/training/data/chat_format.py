"""Messages to token ids and the weights of trained tokens, by the tokenizer's own chat template.

Ids equal `apply_chat_template` for benign text, and no text can forge a turn (`guarded_tokenizer`). Trained is all
that the model must write itself in its turns (`turns`). Training and serving both come here, so the model meets in
production exactly the prompt it was trained on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from tokenizers import Encoding, Tokenizer

from core.errors import Invalid
from core.kit.hashing import sha256_bytes
from worker.training.data.chat_template import ChatTemplate
from worker.training.data.conversation import Guards, Message, Tool, guarded, normal, weight_of, without_marks
from worker.training.data.guarded_tokenizer import EncodedText, GuardedTokenizer
from worker.training.data.probes import TOOL, Probes
from worker.training.data.tool_calls import learned_syntax
from worker.training.data.turns import Turns, token_weights

PieceKind = Literal["template", "text", "special"]
_END_OF_REASONING = "</think>"

_S = TypeVar("_S")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TokenizedChat:
    """`weights[i]` in [0, 1] is how much the loss counts the prediction *of* `token_ids[i]`; 0 is not trained."""

    token_ids: list[int]
    weights: list[float]
    num_cut: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """One token's share of the text; of several that share a character the first has it."""

    token_id: int
    text: str
    weight: float
    kind: PieceKind


@dataclass(frozen=True, slots=True)
class _Written:
    """A conversation as one text with special tokens as aliases, and where in it the assistant's turns lie."""

    text: str
    turns: list[tuple[int, int]]
    contents: list[tuple[int, int]]


class ChatFormat:
    """The chat format of one base model. Build once; safe to share between threads."""

    def __init__(self, tokenizer_json: str, template: ChatTemplate) -> None:
        tokenizer = Tokenizer.from_str(tokenizer_json)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._template = template
        self._probes = Probes(template)
        texts = [probe.rendered for probe in self._probes.all]
        expected = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        self._tokenizer = GuardedTokenizer(
            tokenizer,
            template_texts=[template.source, *template.special_tokens.values(), *texts],
            end_of_text=template.special_tokens.get("eos_token", ""),
        )
        self._guards = Guards(self._tokenizer.asking_guard, self._tokenizer.answering_guard)
        tool_prompt = self._probes.tool_prompt
        self._turns = Turns(template, self._tokenizer, tool_prompt and self._tokenizer.written(tool_prompt))
        self.template_sha256 = template.sha256
        self.tokenizer_sha256 = sha256_bytes(tokenizer_json.encode())
        self.end_of_turn_id = self._turns.end_id
        self._refuse_if_different(expected)
        self.call_syntax = learned_syntax(self._last_turn) if self._probes.has_tools else None
        """How the assistant's calls of tools are read back; None where they cannot be."""
        calls = self.call_syntax
        self._call_markers = self._tokenizer.special_ids_in(calls.opening + calls.closing) if calls else frozenset()

    @classmethod
    def load(cls, model_dir: Path) -> "ChatFormat":
        """From a base model's folder; only its tokenizer and template are read."""
        return cls((model_dir / "tokenizer.json").read_text(), ChatTemplate.load(model_dir))

    def tokenize(
        self, messages: Sequence[Message], *, tools: Sequence[Tool] | None = None, max_length: int | None = None
    ) -> TokenizedChat:
        """A whole conversation; each of the assistant's turns weighs what its message's `weight` says.

        Beyond `max_length` tokens the end is cut off and `num_cut` says how much.
        Raises Invalid where the template refuses the conversation, has no place for its tools, or drops words of it.
        """
        [chat] = self.tokenize_all([(messages, tools)], max_length=max_length)
        if isinstance(chat, Invalid):
            raise chat
        return chat

    def tokenize_all(
        self, chats: Sequence[tuple[Sequence[Message], Sequence[Tool] | None]], *, max_length: int | None = None
    ) -> list[TokenizedChat | Invalid]:
        """`tokenize` of each conversation with its tools, or why it is refused.

        All are written, then all are encoded, then all are weighed, which takes a third less time than one after the
        other: template, tokenizer and lists do not push each other out of the processor's caches.
        """
        rows = [_or_refusal(lambda chat: self._weigh_row(*chat), chat) for chat in chats]
        encoded = [row if isinstance(row, Invalid) else _or_refusal(self._encode_row, row) for row in rows]
        weigh = partial(self._weigh_tokens, max_length=max_length)
        return [row if isinstance(row, Invalid) else _or_refusal(weigh, row) for row in encoded]

    def render_prompt(self, messages: Sequence[Message], *, tools: Sequence[Tool] | None = None) -> list[int]:
        """Ids up to and including the opening of the assistant's next turn: what generation starts from."""
        clean = self._normal(messages, tools)
        return self._tokenizer.encode(self._write(clean, tools, add_generation_prompt=True).text).token_ids

    def encode_text(self, text: str) -> list[int]:
        """Plain text with the tokenizer's begin and end tokens; what looks like a special token in it stays text."""
        return self._tokenizer.encode_text(text).token_ids

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of generated ids, special tokens left out."""
        return self._tokenizer.decode(token_ids)

    def decode_calls(self, token_ids: Sequence[int]) -> str:
        """The same, with the special tokens that mark calls of tools as they are spelled."""
        return self._tokenizer.decode(token_ids, spelling=self._call_markers)

    def encode_answer(self, text: str) -> list[int]:
        """What a model would write for a text that holds no special token."""
        return self._tokenizer.encode_answer(text)

    def split(self, text: str) -> list[str | int]:
        """A text as its special tokens, by id, and what stands between them."""
        return self._tokenizer.split(text)

    def bytes_of(self, token_id: int) -> bytes | None:
        """What the token adds to a text; None for special tokens and for ids that the tokenizer does not have."""
        return self._tokenizer.bytes_of(token_id)

    def literal(self, token_id: int) -> str:
        """How the tokenizer spells a token."""
        return self._tokenizer.literal(token_id)

    def explain(self, messages: Sequence[Message], *, tools: Sequence[Tool] | None = None) -> list[Piece]:
        """The tokens of `tokenize`, each with its text and with who wrote it."""
        written, turn_weights = self._weigh_row(messages, tools, marks_contents=True)
        encoded = self._tokenizer.encode(written.text)
        weights = token_weights(encoded.spans, written.turns, turn_weights)
        is_text = token_weights(encoded.spans, written.contents, [1.0] * len(written.contents))
        kinds: list[PieceKind] = ["text" if one else "template" for one in is_text]
        return self._pieces(written.text, encoded, weights, kinds)

    def explain_text(self, text: str) -> list[Piece]:
        """The tokens of `encode_text`; nothing predicts the first."""
        encoded = self._tokenizer.encode_text(text)
        num_tokens = len(encoded.token_ids)
        return self._pieces(text, encoded, [0.0] + [1.0] * (num_tokens - 1), ["text"] * num_tokens)

    def _weigh_row(
        self, messages: Sequence[Message], tools: Sequence[Tool] | None, *, marks_contents: bool = False
    ) -> tuple[_Written, list[float]]:
        """The conversation as a text, and the weights of its turns."""
        asked = [weight_of(message) for message in messages if message["role"] == "assistant"]
        clean = self._normal(messages, tools)
        written = self._write_row(clean, tools, marks_contents=marks_contents)
        self._refuse_if_left_out(clean, written.text)
        weights = self._kept_weights(clean, written, asked)
        if marks_contents:
            written = replace(written, contents=sorted(written.contents + self._answers(clean, written)))
        return written, weights

    def _encode_row(self, row: tuple[_Written, list[float]]) -> tuple[Encoding, _Written, list[float]]:
        written, turn_weights = row
        return self._tokenizer.encoding_of(written.text), written, turn_weights

    def _weigh_tokens(self, row: tuple[Encoding, _Written, list[float]], *, max_length: int | None) -> TokenizedChat:
        encoding, written, turn_weights = row
        encoded = self._tokenizer.read(encoding)
        ids, weights = encoded.token_ids, token_weights(encoded.spans, written.turns, turn_weights)
        num_cut = max(0, len(ids) - max_length) if max_length else 0
        return TokenizedChat(ids[:max_length], weights[:max_length], num_cut)

    def _normal(self, messages: Sequence[Message], tools: Sequence[Tool] | None) -> list[dict[str, Any]]:
        clean = normal(messages, has_short_ids=self._probes.has_short_ids)
        is_calling = bool(tools) or any(message["role"] == "tool" or "tool_calls" in message for message in clean)
        if is_calling and not self._probes.has_tools:
            raise Invalid(
                "This base model's chat template has no place for tools. Choose a base model that calls tools, or "
                "leave them out.",
                code="tools_unsupported",
                param="tools",
            )
        return clean

    def _write_row(
        self, clean: list[dict[str, Any]], tools: Sequence[Tool] | None, *, marks_contents: bool
    ) -> _Written:
        row = self._write(clean, tools, add_generation_prompt=False, marks_contents=marks_contents)
        if self._probes.keeps_prompts or clean[-1]["role"] != "assistant" or not row.turns:
            return row
        # this template would show the answer after another prompt than the one it is asked for with
        prompt = self._write(clean[:-1], tools, add_generation_prompt=True, marks_contents=marks_contents)
        text = prompt.text + row.text[row.turns[-1][0] :]
        return _Written(text, self._turns.find(text), prompt.contents)

    def _write(
        self,
        clean: list[dict[str, Any]],
        tools: Sequence[Tool] | None,
        *,
        add_generation_prompt: bool,
        marks_contents: bool = False,
    ) -> _Written:
        given = guarded(clean, tools, self._guards, marks_contents=marks_contents)
        rendered = self._template.render(given.messages, tools=given.tools, add_generation_prompt=add_generation_prompt)
        mark, opening, closing = given.marks
        if mark and (spelled := mark.encode("unicode_escape").decode()) in rendered:
            raise Invalid(
                f"The base model's chat template writes some texts of this conversation in code ({spelled}). Take what "
                "looks like a special token out of it.",
                code="conversation_refused",
            )
        text = self._tokenizer.written(rendered, mark)
        contents: list[tuple[int, int]] = []
        if marks_contents:
            text, contents = without_marks(text, opening, closing)
        return _Written(text, self._turns.find(text), contents)

    def _last_turn(self, messages: Sequence[Message]) -> str:
        """What the assistant said last, as the template writes it, without the token that ends it."""
        written = self._write(
            normal(messages, has_short_ids=self._probes.has_short_ids), [TOOL], add_generation_prompt=False
        )
        if not written.turns:
            return ""
        start, end = written.turns[-1]
        return self._tokenizer.spelled(written.text[start:end]).removesuffix(
            self._tokenizer.literal(self.end_of_turn_id)
        )

    def _refuse_if_left_out(self, clean: list[dict[str, Any]], text: str) -> None:
        for message in clean:
            content = message["content"].strip()
            is_said = message["role"] in {"system", "user"} and content
            if is_said and content not in text and content not in self._tokenizer.spelled(text):
                raise Invalid(
                    f"The base model's chat template leaves out a message of this conversation (role "
                    f"{message['role']}). Say it in the user's message instead.",
                    code="message_left_out",
                )

    def _kept_weights(self, clean: list[dict[str, Any]], written: _Written, asked: list[float]) -> list[float]:
        """Weights of the turns; 0 where the template took an earlier answer's reasoning out.

        What is left of such a turn is not what the model is to say: it would unlearn to reason. Raises Invalid where
        turns are merged, or lose words otherwise.
        """
        answers = [message for message in clean if message["role"] == "assistant"]
        if len(written.turns) != len(answers):
            raise Invalid(
                "The base model's chat template does not write each of the assistant's messages as a turn of its own.",
                code="conversation_refused",
            )
        weights = list(asked)
        for at, (message, (start, end)) in enumerate(zip(answers, written.turns, strict=True)):
            turn = written.text[start:end]
            names = [call["function"]["name"] for call in message.get("tool_calls", [])]
            if message["content"].strip() in turn and all(name in turn for name in names):
                continue
            spelled = _squeezed(self._tokenizer.spelled(turn))
            if all(_squeezed(text) in spelled for text in (message["content"], *names)):
                continue
            answer = message["content"].rpartition(_END_OF_REASONING)[2]
            if at == len(answers) - 1 or _squeezed(answer) not in spelled:
                raise Invalid(
                    "The base model's chat template leaves out words of an answer, as some do with a text beside a "
                    "call of a tool. Leave the text out.",
                    code="answer_left_out",
                )
            weights[at] = 0.0
        return weights

    def _answers(self, clean: list[dict[str, Any]], written: _Written) -> list[tuple[int, int]]:
        """The places of the assistant's own words: contents, and calls with all that belongs to them."""
        found = []
        answers = [message for message in clean if message["role"] == "assistant"]
        for message, (start, end) in zip(answers, written.turns, strict=True):
            content = self._tokenizer.written(message["content"].strip())
            at = written.text.find(content, start, end)
            if "tool_calls" in message or at < 0:
                found.append((start, end))
            elif content:
                found.append((at, at + len(content)))
        return found

    def _pieces(self, text: str, encoded: EncodedText, weights: list[float], kinds: Sequence[PieceKind]) -> list[Piece]:
        pieces: list[Piece] = []
        begin = 0
        for token_id, (_, end), weight, kind in zip(encoded.token_ids, encoded.spans, weights, kinds, strict=True):
            share = self._tokenizer.spelled(text[begin:end])
            if self._tokenizer.is_marker(token_id):
                # those at the ends of a plain text stand for nothing of it
                pieces.append(Piece(token_id, share or self._tokenizer.literal(token_id), weight, "special"))
            else:
                pieces.append(Piece(token_id, share, weight, kind))
            begin = max(begin, end)
        return pieces

    def _refuse_if_different(self, expected: Sequence[list[int]]) -> None:
        """From the plain tokenizer on what the template renders, in ids, or in where the answers are."""
        for probe, ids in zip(self._probes.all, expected, strict=True):
            clean = normal(probe.messages, has_short_ids=self._probes.has_short_ids)
            written = self._write(clean, probe.tools, add_generation_prompt=probe.add_generation_prompt)
            answers = [message["content"] for message in clean if message["role"] == "assistant"]
            turns = [written.text[start:end] for start, end in written.turns]
            questions = [message["content"] for message in clean if message["role"] != "assistant"]
            if (
                self._tokenizer.encode(written.text).token_ids != ids
                or len(turns) != len(answers)
                or any(answer not in turn for answer, turn in zip(answers, turns, strict=True))
                or any(question in turn for question in questions for turn in turns)
            ):
                raise Invalid("This base model's tokenizer is not supported yet.", code="chat_template_unsupported")


def _or_refusal(function: Callable[[_S], _T], given: _S) -> _T | Invalid:
    try:
        return function(given)
    except Invalid as problem:
        return problem
    except RecursionError:
        return Invalid("Something in it, such as a tool's arguments, is nested too deep.", code="conversation_refused")


def _squeezed(text: str) -> str:
    return "".join(text.split())
