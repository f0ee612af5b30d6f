"""Messages to token ids and the mask of trained tokens, by the tokenizer's own chat template.

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

from tokenizers import Tokenizer

from core.errors import Invalid
from worker.training.data.chat_template import ChatTemplate

Message = Mapping[str, str]

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
    """`is_trained[i]` says whether the loss counts the prediction *of* `token_ids[i]`."""

    token_ids: list[int]
    is_trained: list[bool]
    num_cut: int = 0


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
    token_id: int
    is_trained: bool


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
        longest_first = sorted(self._special_ids, key=len, reverse=True)
        self._special_pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._layout = lru_cache(maxsize=1024)(self._render_layout)
        self.template_sha256 = template.sha256
        self.end_of_turn_id = self._find_end_of_turn()
        self._refuse_if_different_from_the_template()

    @classmethod
    def load(cls, model_dir: Path) -> "ChatFormat":
        """From a base model's folder; only its tokenizer and template are read."""
        return cls((model_dir / "tokenizer.json").read_text(), ChatTemplate.load(model_dir))

    def tokenize(self, messages: Sequence[Message], *, max_length: int | None = None) -> TokenizedChat:
        """A whole conversation, with the assistant's words and end-of-turn tokens marked as trained.

        Beyond `max_length` tokens the end is cut off and `num_cut` says how much.
        Raises Invalid where the template refuses the conversation (roles it does not know, or in a wrong order).
        """
        ids, trained = self._encode(messages, add_generation_prompt=False)
        num_cut = max(0, len(ids) - max_length) if max_length else 0
        if num_cut:
            ids, trained = ids[:max_length], trained[:max_length]
        return TokenizedChat(token_ids=ids, is_trained=trained, num_cut=num_cut)

    def render_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Ids up to and including the opening of the assistant's next turn: what generation starts from."""
        return self._encode(messages, add_generation_prompt=True)[0]

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of generated ids, special tokens left out."""
        return self._plain.decode(list(token_ids), skip_special_tokens=True)

    def _encode(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> tuple[list[int], list[bool]]:
        layout = self._layout(tuple(message["role"] for message in messages), add_generation_prompt)
        ids: list[int] = []
        trained: list[bool] = []
        for piece in layout:
            if isinstance(piece, _Special):
                ids.append(piece.token_id)
                trained.append(piece.is_trained)
                continue
            text, answers = _fill(piece, messages)
            encoding = self._plain.encode(text, add_special_tokens=False)
            ids.extend(encoding.ids)
            # a token that reaches into an answer is trained, also where it begins in the template's words
            trained.extend(
                any(begin < last and end > first for first, last in answers) for begin, end in encoding.offsets
            )
        return ids, trained

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
            pieces.append(
                _Special(token_id=self._special_ids[match.group()], is_trained=_closes_an_answer(pieces, roles))
            )
            begin = match.end()
        pieces.extend(_text_piece(rendered[begin:]))
        return tuple(pieces)

    def _find_end_of_turn(self) -> int:
        layout = self._layout(("user", "assistant"), False)
        closing = [piece.token_id for piece in layout if isinstance(piece, _Special) and piece.is_trained]
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


def _closes_an_answer(pieces: list[_Special | _Text], roles: tuple[str, ...]) -> bool:
    """Whether a special token placed now follows an assistant's content with nothing but blanks between."""
    if not pieces or not isinstance(pieces[-1], _Text):
        return False
    slots_and_words = [part for part in pieces[-1].parts if isinstance(part, _Slot) or part.strip()]
    last = slots_and_words[-1] if slots_and_words else ""
    return isinstance(last, _Slot) and roles[last.index] == "assistant"


def _fill(piece: _Text, messages: Sequence[Message]) -> tuple[str, list[tuple[int, int]]]:
    """The text of a piece, and where in it the assistant's contents lie."""
    text = ""
    answers = []
    for part in piece.parts:
        if isinstance(part, str):
            text += part
            continue
        content = part.fill(messages[part.index]["content"])
        if messages[part.index]["role"] == "assistant":
            answers.append((len(text), len(text) + len(content)))
        text += content
    return text, answers
