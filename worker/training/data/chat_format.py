"""Messages to token ids and the weights of trained tokens, by the tokenizer's own chat template.

The template is rendered with a sentinel in place of every content: it decides the turn markers and never sees the text.
Text between two special tokens (the template's own words and the contents) is then encoded as one string with special
tokens switched off: ids equal `apply_chat_template` for benign text, and no content can forge a turn.
Training and serving both come here, so the model meets in production exactly the prompt it was trained on.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from core.errors import Invalid
from worker.training.data.chat_template import ChatTemplate

Message = Mapping[str, Any]
Tool = Mapping[str, Any]

_ROLES = frozenset({"system", "user", "assistant"})
# Private-use characters: no template writes them. The tabs tell whether the template trims a content.
_OPEN, _CLOSE, _PADDING = "\ue000", "\ue001", "\t"
_SLOT = re.compile(f"({_PADDING}?){_OPEN}(\\d+){_CLOSE}({_PADDING}?)")
_PROBE = (
    {"role": "user", "content": "What is 2 + 2?\n\nIn one word."},
    {"role": "assistant", "content": "Four, naturally."},
    {"role": "user", "content": "Thanks!"},
    {"role": "assistant", "content": "You are welcome."},
)


@dataclass(frozen=True, slots=True)
class TokenizedChat:
    """`weights[i]` in [0, 1] is how much the loss counts the prediction *of* `token_ids[i]`; 0 is not trained."""

    token_ids: list[int]
    weights: list[float]
    num_cut: int = 0

    @property
    def is_trained(self) -> list[bool]:
        return [weight > 0 for weight in self.weights]


@dataclass(frozen=True, slots=True)
class _Slot:
    """The place of message `index`; the template may trim the text on either side."""

    index: int
    strips_left: bool
    strips_right: bool

    def fill(self, content: str) -> str:
        content = content.lstrip() if self.strips_left else content
        return content.rstrip() if self.strips_right else content


@dataclass(frozen=True, slots=True)
class _Special:
    """A special token; `closes` is the assistant's message whose turn it ends."""

    token_id: int
    closes: int | None


@dataclass(frozen=True, slots=True)
class _Text:
    """A stretch between two special tokens: the template's words and slots, in order."""

    parts: tuple[str | _Slot, ...]


_Layout = tuple[_Special | _Text, ...]


class ChatFormat:
    """The chat format of one base model. Build once; safe to share between threads."""

    def __init__(self, tokenizer_json: str, template: ChatTemplate) -> None:
        self._template = template
        self._plain = _without_limits(tokenizer_json)
        self._plain.encode_special_tokens = True  # "encode them as ordinary text", in spite of the name
        self._with_special_tokens = _without_limits(tokenizer_json)
        added = self._plain.get_added_tokens_decoder().items()
        self._special_ids = {token.content: token_id for token_id, token in added if token.special}
        self._special_id_set = frozenset(self._special_ids.values())
        longest_first = sorted(self._special_ids, key=len, reverse=True)
        self._special_pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._text_start, self._text_end = self._find_text_ends()
        self._layout = lru_cache(maxsize=1024)(self._render_layout)
        self.template_sha256 = template.sha256
        self.end_of_turn_id = self._find_end_of_turn()
        self._refuse_if_different_from_the_template()

    @classmethod
    def load(cls, model_dir: Path) -> "ChatFormat":
        """From a base model's folder; only its tokenizer and template are read."""
        return cls((model_dir / "tokenizer.json").read_text(), ChatTemplate.load(model_dir))

    def tokenize(
        self, messages: Sequence[Message], *, tools: Sequence[Tool] | None = None, max_length: int | None = None
    ) -> TokenizedChat:
        """A whole conversation; the assistant's words and end-of-turn tokens weigh what its message's `weight` says.

        Beyond `max_length` tokens the end is cut off and `num_cut` says how much.
        Raises Invalid where the template refuses the conversation (roles it does not know, or in a wrong order).
        """
        _refuse_tools(messages, tools)
        ids, weights = self._encode(messages, add_generation_prompt=False)
        num_cut = max(0, len(ids) - max_length) if max_length else 0
        if num_cut:
            ids, weights = ids[:max_length], weights[:max_length]
        return TokenizedChat(token_ids=ids, weights=weights, num_cut=num_cut)

    def render_prompt(self, messages: Sequence[Message], *, tools: Sequence[Tool] | None = None) -> list[int]:
        """Ids up to and including the opening of the assistant's next turn: what generation starts from."""
        _refuse_tools(messages, tools)
        return self._encode(messages, add_generation_prompt=True)[0]

    def encode_text(self, text: str) -> list[int]:
        """Plain text with the tokenizer's begin and end tokens; what looks like a special token in it stays text."""
        return [*self._text_start, *self._plain.encode(text, add_special_tokens=False).ids, *self._text_end]

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of generated ids, special tokens left out."""
        return self._plain.decode(list(token_ids), skip_special_tokens=True)

    def decode_all(self, token_ids: Sequence[int]) -> str:
        """Text of ids, special tokens as they are written."""
        return self._plain.decode(list(token_ids), skip_special_tokens=False)

    def is_special(self, token_id: int) -> bool:
        return token_id in self._special_id_set

    def _encode(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> tuple[list[int], list[float]]:
        layout = self._layout(tuple(message["role"] for message in messages), add_generation_prompt)
        ids: list[int] = []
        weights: list[float] = []
        turn_weights = [_weight(message) for message in messages]
        for piece in layout:
            if isinstance(piece, _Special):
                ids.append(piece.token_id)
                weights.append(0.0 if piece.closes is None else turn_weights[piece.closes])
                continue
            text, answers = _fill(piece, messages, turn_weights)
            encoding = self._plain.encode(text, add_special_tokens=False)
            ids.extend(encoding.ids)
            # a token that reaches into an answer is trained, also where it begins in the template's words
            weights.extend(
                max((weight for first, last, weight in answers if begin < last and end > first), default=0.0)
                for begin, end in encoding.offsets
            )
        return ids, weights

    def _render_layout(self, roles: tuple[str, ...], add_generation_prompt: bool) -> _Layout:  # noqa: FBT001 - cached by position
        """The conversation's skeleton; it depends on the roles alone, so thousands of rows share one."""
        if unknown := set(roles) - _ROLES:
            raise Invalid(
                f"The role '{min(unknown)}' is not known; use system, user or assistant.",
                code="unknown_role",
                param="role",
            )
        slots = [
            {"role": role, "content": f"{_PADDING}{_OPEN}{index}{_CLOSE}{_PADDING}"} for index, role in enumerate(roles)
        ]
        rendered = self._template.render(slots, add_generation_prompt=add_generation_prompt)
        pieces: list[_Special | _Text] = []
        begin = 0
        for match in self._special_pattern.finditer(rendered):
            pieces.extend(_text_piece(rendered[begin : match.start()]))
            pieces.append(_Special(token_id=self._special_ids[match.group()], closes=_closed_answer(pieces, roles)))
            begin = match.end()
        pieces.extend(_text_piece(rendered[begin:]))
        return tuple(pieces)

    def _find_text_ends(self) -> tuple[list[int], list[int]]:
        """What the tokenizer itself puts before a text, and its end-of-text token after."""
        marked = self._plain.encode("a", add_special_tokens=True).ids
        bare = self._plain.encode("a", add_special_tokens=False).ids
        start = marked[: next(at for at in range(len(marked)) if marked[at : at + len(bare)] == bare)]
        end = self._special_ids.get(self._template.special_tokens.get("eos_token", ""))
        return start, [] if end is None else [end]

    def _find_end_of_turn(self) -> int:
        layout = self._layout(("user", "assistant"), False)
        closing = [piece.token_id for piece in layout if isinstance(piece, _Special) and piece.closes is not None]
        if len(closing) != 1:
            raise Invalid(
                "This base model's chat template does not close an answer with a special token, so a tuned model would "
                "never learn to stop.",
                code="chat_template_unsupported",
            )
        return closing[0]

    def _refuse_if_different_from_the_template(self) -> None:
        """A tokenizer that treats a text's first word specially would encode our pieces differently: find out now."""
        for messages, add_generation_prompt in ((_PROBE, False), (_PROBE[:1], True)):
            text = self._template.render(messages, add_generation_prompt=add_generation_prompt)
            expected = self._with_special_tokens.encode(text, add_special_tokens=False).ids
            if self._encode(messages, add_generation_prompt=add_generation_prompt)[0] != expected:
                raise Invalid("This base model's tokenizer is not supported yet.", code="chat_template_unsupported")


def _weight(message: Message) -> float:
    return float(message.get("weight", 1.0)) if message["role"] == "assistant" else 0.0


def _refuse_tools(messages: Sequence[Message], tools: Sequence[Tool] | None) -> None:
    if tools or any(message.get("tool_calls") for message in messages):
        raise Invalid("Conversations with tools are not supported yet.", code="tools_unsupported", param="tools")


def _without_limits(tokenizer_json: str) -> Tokenizer:
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _text_piece(text: str) -> list[_Text]:
    parts: list[str | _Slot] = []
    begin = 0
    for match in _SLOT.finditer(text):
        parts.append(text[begin : match.start()])
        parts.append(_Slot(int(match[2]), strips_left=not match[1], strips_right=not match[3]))
        begin = match.end()
    parts.append(text[begin:])
    kept = tuple(part for part in parts if part != "")
    return [_Text(kept)] if kept else []


def _closed_answer(pieces: list[_Special | _Text], roles: tuple[str, ...]) -> int | None:
    """The assistant's message that a special token placed now follows with nothing but blanks between."""
    if not pieces or not isinstance(pieces[-1], _Text):
        return None
    slots_and_words = [part for part in pieces[-1].parts if isinstance(part, _Slot) or part.strip()]
    last = slots_and_words[-1] if slots_and_words else ""
    return last.index if isinstance(last, _Slot) and roles[last.index] == "assistant" else None


def _fill(
    piece: _Text, messages: Sequence[Message], turn_weights: Sequence[float]
) -> tuple[str, list[tuple[int, int, float]]]:
    """The text of a piece, and where in it the assistant's contents lie and what they weigh."""
    text = ""
    answers = []
    for part in piece.parts:
        if isinstance(part, str):
            text += part
            continue
        content = part.fill(messages[part.index]["content"])
        if messages[part.index]["role"] == "assistant":
            answers.append((len(text), len(text) + len(content), turn_weights[part.index]))
        text += content
    return text, answers
