"""Answers that are not what somebody meant to teach: cut off, a place holder, a refusal."""

import re
from collections.abc import Iterable
from typing import Final

import orjson

from core.datasets.health.detector import Detector, Look, Rule
from core.datasets.types import Fix, Problem, Severity

CUT_OFF = Rule(
    code="cut_off",
    severity=Severity.WARNING,
    one="1 answer seems to be cut off.",
    many="{count} answers seem to be cut off.",
    cause="The answer seems to be cut off.",
    advice="Bring the whole answer: a model that learns from these stops in the middle, too.",
    fixes=(Fix.LEAVE_OUT,),
)
_FENCE = "A block of code is opened with ``` and never closed."
_JSON = "The answer begins like JSON and ends before it is complete."
# where programs and spreadsheets cut a text, in characters
_LIMITS: Final = frozenset(
    {255, 256, 500, 512, 1000, 1024, 2000, 2048, 4000, 4096, 5000, 8000, 8191, 8192, 10000, 16384, 32767, 65535}
)
_MIN_CUT_CHARS = 200
_MIN_ALIKE = 3
_ENDS = re.compile(r"[.!?…:;。！？)\]}»”\"'`*_>|~-]$|https?://\S+$")  # noqa: RUF001 - all that people write


class CutOff(Detector):
    """A length is suspicious where programs cut, or if it is the longest of all and several answers have just that."""

    rules = (CUT_OFF,)

    def __init__(self) -> None:
        self._longest = 0
        self._num_longest = 0

    def observe(self, row: Look) -> None:
        for answer in row.answers:
            if len(answer) > self._longest:
                self._longest, self._num_longest = len(answer), 1
            elif len(answer) == self._longest:
                self._num_longest += 1

    def problems(self, row: Look) -> Iterable[Problem]:
        for answer in row.answers:
            cause = self._cause(answer)
            if cause is not None:
                yield CUT_OFF.problem(row.number, cause)
                return

    def _cause(self, answer: str) -> str | None:
        if answer.count("```") % 2:
            return _FENCE
        if answer[:1] in "{[" and _is_broken_json(answer):
            return _JSON
        length = len(answer)
        is_suspicious = length in _LIMITS or (length == self._longest and self._num_longest >= _MIN_ALIKE)
        if length >= _MIN_CUT_CHARS and is_suspicious and not _ENDS.search(answer):
            return f"The answer ends in the middle of a sentence, after just {length:,} characters."
        return None


_JSON_BEGINS = re.compile(r'\{\s*"[^"\n]*"\s*:|\[\s*\{\s*"')


def _is_broken_json(answer: str) -> bool:
    """Not what follows a whole JSON, and not what only looks a little like it."""
    if not _JSON_BEGINS.match(answer) or answer.rstrip()[-1] in "}]":
        return False
    try:
        orjson.loads(answer)
    except orjson.JSONDecodeError:
        return answer.count("{") + answer.count("[") > answer.count("}") + answer.count("]")
    return False


PLACEHOLDER = Rule(
    code="placeholder",
    severity=Severity.WARNING,
    one="1 example holds a place holder that nobody filled in.",
    many="{count} examples hold a place holder that nobody filled in.",
    cause="There is a place holder that nobody filled in.",
    advice="Write what belongs there: the model would say the place holder.",
    fixes=(Fix.LEAVE_OUT,),
)
_WHOLE_ANSWER: Final = frozenset({
    "todo", "tbd", "tba", "fixme", "n/a", "#n/a", "#ref!", "#value!", "#name?", "#div/0!", "nan", "null",
    "undefined", "xxx", "xxxx", "asdf", "asdfasdf", "test123", "placeholder", "???",
})  # fmt: skip
_MAX_PLACEHOLDER_CHARS = 12
_BLANK = re.compile(
    r"lorem ipsum dolor|\[(?:your|insert|enter|company|customer) (?:[a-z]+ ?){1,4}\]|"
    r"\[(?:ihre?|name de[sr]) (?:\w+ ?){1,3}\]|"
    r"<(?:insert|your|enter) (?:[a-z]+ ?){1,4}>|\bto[d]o:",
    re.IGNORECASE,
)


class Placeholders(Detector):
    """`N/A` and its like only where they are rare: in a table of labels they may be one."""

    rules = (PLACEHOLDER,)
    _MAX_SHARE = 0.05

    def __init__(self) -> None:
        self._num_answers = 0
        self._num_whole = 0

    def observe(self, row: Look) -> None:
        self._num_answers += len(row.answers)
        self._num_whole += sum(_is_placeholder(answer) for answer in row.answers)

    def problems(self, row: Look) -> Iterable[Problem]:
        is_rare = self._num_whole <= max(1, self._num_answers * self._MAX_SHARE)
        is_whole = is_rare and any(_is_placeholder(answer) for answer in row.answers)
        if is_whole or any(_has_blank(text) for text in (*row.answers, row.content.text or "")):
            yield PLACEHOLDER.problem(row.number)


def _has_blank(text: str) -> bool:
    # what can be looked for as it is costs next to nothing
    return any(mark in text for mark in ("[", "<", "orem", "ODO:")) and _BLANK.search(text) is not None


def _is_placeholder(answer: str) -> bool:
    return len(answer) <= _MAX_PLACEHOLDER_CHARS and answer.casefold().rstrip(".") in _WHOLE_ANSWER


REFUSAL = Rule(
    code="refusal",
    severity=Severity.WARNING,
    one="1 answer refuses, in the words of a language model.",
    many="{count} answers refuse, in the words of a language model.",
    cause="The answer refuses, in the words of a language model.",
    advice="Keep those that are meant; of the others the model learns to refuse what it should answer.",
    fixes=(Fix.LEAVE_OUT,),
)
_WITH = (
    r"(?:help|assist|do (?:that|this)|comply|fulfill?|(?:provide|answer|write) (?:that|this)|engage|create|generate)"
)
_CANNOT = r"i (?:can't|cannot|am not able to|am unable to|'m unable to|won't)"
_MODEL = r"(?:ai|artificial intelligence|(?:large )?language)(?: language)?(?: model| assistant)"
# with a straight apostrophe and small letters
_REFUSES = re.compile(
    rf"(?:(?:i'm |i am )?(?:(?:very|really|so) )?sorry|i apologi[sz]e)[,.]? (?:but )?(?:as an {_MODEL}, )?"
    rf"{_CANNOT} {_WITH}"
    rf"|{_CANNOT} (?:help|assist|comply|fulfill?|engage)(?: you)? (?:with|in|that|to)\b"
    rf"|(?:i'm sorry, (?:but )?)?as an? {_MODEL}\b"
    r"|(?:es )?tut mir leid, (?:aber )?(?:ich kann (?:dabei|ihnen dabei|dir dabei|das) nicht|als ki\b)"
    r"|als (?:ki|ki-sprachmodell|sprachmodell|künstliche intelligenz)\b"
    r"|(?:je suis )?désolée?,? (?:mais )?je ne peux pas (?:vous )?(?:aider|répondre)"
    r"|en tant qu'(?:ia|intelligence artificielle)\b|en tant que modèle de langage"
    r"|lo siento,? (?:pero )?no puedo (?:ayudar|responder|cumplir)|como (?:modelo de lenguaje|ia)\b"
)
_BEGINNING_CHARS = 200


class Refusals(Detector):
    rules = (REFUSAL,)

    def problems(self, row: Look) -> Iterable[Problem]:
        if any(_refuses(answer) for answer in row.answers):
            yield REFUSAL.problem(row.number)


def _refuses(answer: str) -> bool:
    beginning = answer[:_BEGINNING_CHARS].casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return _REFUSES.match(beginning) is not None
