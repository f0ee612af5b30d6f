"""A tokenizer for which a special token is one only where the chat template wrote it.

1. `Guard` puts an invisible break into whatever a person wrote that could read as a special token, alone or together
   with what comes to stand beside it. The template then renders the real texts, so all that it does by content it does.
2. What still reads as a special token is the template's. `written` swaps it for an alias that nobody can guess, and
   takes the breaks out again.
3. `encode` reads the whole at once, special tokens switched off and aliases on: ids equal those of the plain tokenizer
   wherever nobody tried to forge anything.
"""

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tokenizers import AddedToken, Encoding, Tokenizer

from core.errors import Invalid
from worker.training.data.token_bytes import TokenBytes

_FIRST_BREAK, _LAST_BREAK = 0xE000, 0xF8FF  # private use: no template writes them


class Guard:
    """Breaks up in a text whatever reads as one of `literals`, or could become one at either end of it."""

    def __init__(self, literals: Iterable[str]) -> None:
        self._literals = _longest_first(literals)
        self._pattern = re.compile("|".join(map(re.escape, self._literals)) or r"(?!)")
        self._heads = tuple({one[:end] for one in self._literals for end in range(1, len(one))})
        self._tails = tuple({one[start:] for one in self._literals for start in range(1, len(one))})
        self._middles = frozenset(tail[:end] for tail in self._tails for end in range(1, len(tail)))

    def is_suspect(self, text: str) -> bool:
        if any(literal in text for literal in self._literals):
            return True
        bare = text.strip()
        return bare.startswith(self._tails) or bare.endswith(self._heads) or bare in self._middles

    def broken(self, text: str, mark: str) -> str:
        while self._pattern.search(text):
            text = self._pattern.sub(lambda match: mark.join(match[0]), text)
        return wrapped(text, mark, mark)


def wrapped(text: str, opening: str, closing: str) -> str:
    """With marks at both ends, inside of the blanks that a template may trim."""
    bare = text.strip()
    start = text.find(bare)
    return f"{text[:start]}{opening}{bare}{closing}{text[start + len(bare) :]}"


def unused_marks(texts: Iterable[str]) -> Iterator[str]:
    """Characters that stand in none of the texts."""
    used = {character for text in texts for character in text if _FIRST_BREAK <= ord(character) <= _LAST_BREAK}
    return (chr(code) for code in range(_FIRST_BREAK, _LAST_BREAK + 1) if chr(code) not in used)


@dataclass(frozen=True, slots=True)
class EncodedText:
    token_ids: list[int]
    spans: list[tuple[int, int]]
    """Of each token, in characters of the text that was encoded."""


class GuardedTokenizer:
    """Build once; safe to share between threads.

    `template_texts` are the template's source and some of what it renders: a special token that occurs in none of
    them is one that the template never writes. `end_of_text` is the special token after a plain text, if there is one.
    """

    def __init__(self, tokenizer: Tokenizer, *, template_texts: Sequence[str], end_of_text: str) -> None:
        self._tokenizer = tokenizer
        self._bytes = TokenBytes(tokenizer)
        self._num_tokens = tokenizer.get_vocab_size(with_added_tokens=True)
        added = {token.content: token for token in tokenizer.get_added_tokens_decoder().values()}
        ids = {token.content: token_id for token_id, token in tokenizer.get_added_tokens_decoder().items()}
        specials = {content for content, token in added.items() if token.special}
        used = {content for content in added if any(content in text for text in template_texts)}
        # Tags like Qwen's <tool_call> are not marked special, yet they structure a conversation where the template
        # writes them. What it never writes (Gemma's <h1>, its runs of blanks) is a piece of text like any other.
        tags = {one for one in added.keys() - specials if _is_tag(one) and (one in used or one.startswith("<|"))}
        markers = used & (specials | tags)
        self._special_ids = frozenset(ids[one] for one in specials)
        self._never_text = frozenset(ids[one] for one in specials | tags)
        self._tags = {one: ids[one] for one in tags}
        self._tag_pattern = re.compile("|".join(map(re.escape, _longest_first(tags))) or r"(?!)")
        self._text_start, self._text_end = _text_ends(tokenizer, ids.get(end_of_text))
        # who asks can write no marker at all; who answers may write tags, e.g. the reasoning before an answer
        self.asking_guard, self.answering_guard = Guard(markers), Guard(markers & specials)

        nonce = secrets.token_hex(8)
        self._aliases = {one: f"\U0010f8fe{nonce}.{at}\U0010f8ff" for at, one in enumerate(_longest_first(markers))}
        self._literals = {alias: literal for literal, alias in self._aliases.items()}
        self._alias_pattern = re.compile("|".join(map(re.escape, self._literals)) or r"(?!)")
        for literal, alias in self._aliases.items():
            token = added[literal]
            tokenizer.add_tokens([AddedToken(alias, normalized=False, lstrip=token.lstrip, rstrip=token.rstrip)])
        self._ids_of_aliases = {tokenizer.token_to_id(alias): ids[one] for one, alias in self._aliases.items()}
        self._marker_ids = {alias: ids[one] for one, alias in self._aliases.items()}
        # the tags keep their ids: this only lets the next line switch them off too
        tokenizer.add_special_tokens([AddedToken(one, normalized=False, special=True) for one in sorted(tags)])
        tokenizer.encode_special_tokens = True  # "encode them as ordinary text", in spite of the name

    def written(self, rendered: str, mark: str | None = None) -> str:
        """What a template rendered, its special tokens as aliases and without breaks."""
        for literal, alias in self._aliases.items():
            rendered = rendered.replace(literal, alias)
        return rendered.replace(mark, "") if mark else rendered

    def aliases_in(self, written: str) -> Iterator[re.Match[str]]:
        return self._alias_pattern.finditer(written)

    def spelled(self, written: str) -> str:
        """With special tokens as they are spelled again."""
        return self._alias_pattern.sub(lambda match: self._literals[match[0]], written)

    def id_of_alias(self, alias: str) -> int:
        return self._marker_ids[alias]

    def is_special(self, token_id: int) -> bool:
        return token_id in self._special_ids

    def is_marker(self, token_id: int) -> bool:
        """Whether it is a special token or a tag, which no plain text becomes."""
        return token_id in self._never_text

    def literal(self, token_id: int) -> str:
        """How a token is spelled; nothing for ids that the model has and the tokenizer does not."""
        return self._tokenizer.id_to_token(token_id) or "" if token_id < self._num_tokens else ""

    def encode(self, written: str) -> EncodedText:
        """Raises Invalid where the tokenizer makes a special token of plain text, or the text is none."""
        return self.read(self.encoding_of(written))

    def encoding_of(self, written: str) -> Encoding:
        """What `read` makes an `EncodedText` of. Raises Invalid for a text that is none."""
        try:
            return self._tokenizer.encode(written, add_special_tokens=False)
        except TypeError as error:  # half a surrogate pair, which JSON can spell
            raise Invalid(
                "A text holds half of a character that takes two (\\ud800 to \\udfff). Remove it.",
                code="half_a_character",
            ) from error

    def read(self, encoding: Encoding) -> EncodedText:
        """Raises Invalid where the tokenizer made a special token of plain text."""
        raw: list[int] = encoding.ids
        if not self._never_text.isdisjoint(raw):
            token = self._tokenizer.id_to_token(next(one for one in raw if one in self._never_text))
            raise Invalid(
                f"This base model's tokenizer cannot tell the text '{token}' from its special token. Take it out.",
                code="special_token_in_text",
            )
        ids = self._ids_of_aliases
        return EncodedText([ids.get(one, one) for one in raw], encoding.offsets)

    def encode_text(self, text: str) -> EncodedText:
        """With the tokenizer's begin and end tokens, which stand for none of the text's characters."""
        plain = self.encode(text)
        start, end = [(0, 0)] * len(self._text_start), [(len(text), len(text))] * len(self._text_end)
        return EncodedText([*self._text_start, *plain.token_ids, *self._text_end], [*start, *plain.spans, *end])

    def encode_answer(self, text: str) -> list[int]:
        """What a model would write for a text without special tokens: its tags are tokens of their own."""
        ids: list[int] = []
        end = 0
        for tag in self._tag_pattern.finditer(text):
            ids += [*self._plain_ids(text[end : tag.start()]), self._tags[tag[0]]]
            end = tag.end()
        return ids + self._plain_ids(text[end:])

    def _plain_ids(self, text: str) -> list[int]:
        return self.encode(text).token_ids if text else []

    def split(self, text: str) -> list[str | int]:
        """A text as its special tokens, by id, and what stands between them."""
        literals = {self.literal(one): one for one in self._special_ids}
        pattern = "|".join(map(re.escape, _longest_first(literals)))
        parts = re.split(f"({pattern})", text) if pattern else [text]
        return [literals.get(part, part) for part in parts if part]

    def bytes_of(self, token_id: int) -> bytes | None:
        """What the token adds to a text; None where it stands for no text."""
        if token_id >= self._num_tokens or token_id in self._special_ids:
            return None
        return self._bytes.of(token_id)

    def special_ids_in(self, spelled: str) -> frozenset[int]:
        """The special tokens that stand in a text."""
        return frozenset(one for one in self._special_ids if self.literal(one) in spelled)

    def decode(self, token_ids: Sequence[int], *, spelling: frozenset[int] = frozenset()) -> str:
        """Text of generated ids; special tokens are left out but for those in `spelling`."""
        # not the library's own way: it would leave the tags out too
        left_out = self._special_ids - spelling
        kept = [one for one in token_ids if one < self._num_tokens and one not in left_out]
        text: str = self._tokenizer.decode(kept, skip_special_tokens=False)
        return text


def _text_ends(tokenizer: Tokenizer, end_id: int | None) -> tuple[list[int], list[int]]:
    """What the tokenizer itself puts before a text and after it; at the end at least `end_id`."""
    whole: list[int] = tokenizer.encode("a", add_special_tokens=True).ids
    bare: list[int] = tokenizer.encode("a", add_special_tokens=False).ids
    first = next(at for at in range(len(whole)) if whole[at : at + len(bare)] == bare)
    end = whole[first + len(bare) :]
    return whole[:first], end if end_id is None or end[-1:] == [end_id] else [*end, end_id]


def _is_tag(content: str) -> bool:
    return content[0] in "<[" and content[-1] in ">]" and len(content) > 2  # noqa: PLR2004 - the brackets


def _longest_first(literals: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(literals, key=lambda one: (-len(one), one)))
