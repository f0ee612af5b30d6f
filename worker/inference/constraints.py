"""What keeps an answer to a schema: before each token, which tokens may come next (library `llguidance`).

Its parser knows the tokens' bytes, not only whole words, so every way to spell the JSON in tokens is open to the model.
All that an answer can cost is bounded here: a schema that is too much is refused when it is compiled, or ends its own
answer, and nobody else's.
"""

import json
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Final

import numpy as np
import torch
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

from core.errors import Invalid
from core.inference import schemas
from core.inference.types import Constraint, JsonShape
from core.kit.hashing import sha256_bytes
from worker.inference.grammar import grammar_of, schema_of, without_blanks
from worker.inference.lru_cache import LruCache
from worker.training.data.chat_format import ChatFormat

# Steps of the engine's: about 20 ms to read a grammar, 14 ms for a token at worst. States of its lexer are 1 to 2 kB.
_LIMITS: Final = LLParserLimits(
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=200_000,
    step_max_items=50_000,
    max_lexer_states=20_000,
    max_grammar_size=100_000,
    verbose_errors=False,
)
_MAX_KEPT: Final = 64


class TokenMask:
    """Which tokens may come next in one answer. The scheduler's thread asks it, and no other at the same time."""

    def __init__(self, matcher: LLMatcher, num_scores: int) -> None:
        self._matcher = matcher
        self._num_scores = num_scores
        # a bit for each token, in whole words of 32
        self._bits = np.zeros((num_scores + 31) // 32 * 4, dtype=np.uint8)

    @property
    def is_complete(self) -> bool:
        """Whether nothing more can be said."""
        return bool(self._matcher.is_stopped())

    def applied(self, scores: torch.Tensor) -> torch.Tensor:
        """The scores, minus infinity for each token that may not come. Raises `Invalid` where that is too much."""
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.size)
        if self._matcher.is_error():
            raise _too_complex()
        forbidden = np.unpackbits(self._bits, count=self._num_scores, bitorder="little") ^ 1
        return scores.masked_fill(torch.from_numpy(forbidden.view(np.bool_)), -torch.inf)

    def take(self, token_id: int) -> None:
        """Go on with this token. Raises `Invalid` where that is too much."""
        if not self._matcher.consume_token(token_id):
            raise _too_complex()


class Constraints:
    """Of one base model. Safe to share between threads; grammars are read one at a time."""

    def __init__(self, chat_format: ChatFormat, *, num_scores: int, end_ids: Collection[int]) -> None:
        self._chat_format = chat_format
        self._num_scores = num_scores
        self._end_ids = sorted(end_ids)
        self._tokenizer: LLTokenizer | None = None
        self._reading = threading.Lock()
        self._read: LruCache[str, LLMatcher] = LruCache(max_size=_MAX_KEPT, size_of=lambda _: 1)

    def mask(self, constraint: Constraint, *, may_call_several: bool = True) -> TokenMask:
        """For a new answer. Raises `Invalid`, with the place in the request, for a schema that cannot be kept to.

        Blocks while a grammar is read that was not met before.
        """
        grammar = self._grammar(constraint, may_call_several=may_call_several)
        return TokenMask(self._matcher_of(grammar, constraint).deep_copy(), self._num_scores)

    def checked_grammar(self, constraint: Constraint, *, may_call_several: bool = True) -> str:
        """The same, for vLLM, which has an older version of the library; raises and blocks as `mask` does."""
        grammar = self._grammar(constraint, may_call_several=may_call_several)
        self._matcher_of(grammar, constraint)
        return without_blanks(grammar)

    def _grammar(self, constraint: Constraint, *, may_call_several: bool) -> str:
        syntax = self._chat_format.call_syntax
        return grammar_of(constraint, syntax, self._chat_format.split, may_call_several=may_call_several)

    def _matcher_of(self, grammar: str, constraint: Constraint) -> LLMatcher:
        return self._read.get(sha256_bytes(grammar.encode()), lambda: self._compiled(grammar, constraint))

    def _compiled(self, grammar: str, constraint: Constraint) -> LLMatcher:
        with self._reading:
            matcher = self._matcher(grammar)
            if matcher.is_error():
                raise self._refusal(constraint, matcher.get_error())
            return matcher

    def _matcher(self, grammar: str) -> LLMatcher:
        # made once, when it is first needed: a second for the largest vocabularies
        self._tokenizer = self._tokenizer or self._made_tokenizer()
        matcher = LLMatcher(self._tokenizer, grammar, limits=_LIMITS, log_level=0)
        if not matcher.is_error():
            # what allows no first token allows no answer: a schema that stands for itself, for one
            matcher.compute_bitmask()
        return matcher

    def _refusal(self, constraint: Constraint, said: str) -> Invalid:
        """With the first schema that cannot be kept to by itself, and what the engine says of it."""
        shapes: list[JsonShape] = [*((constraint.shape,) if constraint.shape else ()), *constraint.calls]
        for shape in shapes:
            alone = self._matcher(LLMatcher.grammar_from_json_schema(schema_of(shape)))
            if alone.is_error():
                return _refused(shape, alone.get_error())
        return _refused(shapes[0], said)

    def _made_tokenizer(self) -> LLTokenizer:
        vocabulary = _Vocabulary(self._chat_format, num_scores=self._num_scores, end_ids=self._end_ids)
        tokenizer = LLTokenizer(
            TokenizerWrapper(vocabulary),
            n_vocab=self._num_scores,
            eos_token=self._end_ids,
            slices=LLTokenizer.json_slices(),
        )
        vocabulary.greedy = tokenizer.greedy_tokenize
        return tokenizer


class _Vocabulary:
    """The base's tokens as the engine wants them: bytes, and which of them stand for no text."""

    bos_token_id = None

    def __init__(self, chat_format: ChatFormat, *, num_scores: int, end_ids: Sequence[int]) -> None:
        self._chat_format = chat_format
        self.eos_token_id = end_ids[0]
        self.special_token_ids: list[int] = []
        self.tokens: list[bytes] = []
        self.greedy: Callable[[str], list[int]] | None = None
        ends = frozenset(end_ids)
        for token_id in range(num_scores):
            found = None if token_id in ends else chat_format.bytes_of(token_id)
            if found is None:
                self.special_token_ids.append(token_id)
            self.tokens.append(f"<[{token_id}]>".encode() if found is None else found)

    def __call__(self, text: str) -> list[int]:
        """How the model would write what can only be one text."""
        if not isinstance(text, str):
            raise TypeError
        ids = self._chat_format.encode_answer(text)
        is_same = b"".join(self.tokens[one] for one in ids) == text.encode()
        # some tokenizers put a blank before every text
        return ids if is_same or self.greedy is None else self.greedy(text)


def _refused(shape: JsonShape, said: str) -> Invalid:
    why = said.replace("<non-verbose/>", "").strip().rstrip(".")
    if why == "NoExtensionBias":
        why = "nothing satisfies it, as where a schema stands for itself"
    if "oneOf" in why:
        places = ", ".join(schemas.places_of(json.loads(shape.json_schema), "oneOf"))
        return Invalid(
            f"oneOf can be kept to only where no two of its schemas can hold at once, and here they can ({places}). "
            "Say anyOf, or send strict: false, and it is read as anyOf.",
            code="schema_unsupported",
            param=shape.param,
        )
    return Invalid(
        f"No answer can be made to keep to this schema: {why}.", code="schema_unsupported", param=shape.param
    )


def _too_complex() -> Invalid:
    return Invalid(
        "The schema became too much to keep to in the middle of the answer. Make it simpler: fewer properties that may "
        "be missing, or simpler patterns.",
        code="schema_too_complex",
    )
