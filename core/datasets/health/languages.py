"""Which languages are spoken; looked at in a sample, since telling a language takes longer than all else."""

import heapq
from collections import Counter
from collections.abc import Iterable

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from core.datasets.health.detector import Detector, Look, Rule
from core.datasets.types import Finding, Severity, Share

MIXED = Rule(
    code="language_mix",
    severity=Severity.NOTE,
    one="A few of the examples are in another language.",
    many="A few of the examples are in other languages.",
    cause="",
    advice="Look whether they belong: a model that learns from them may answer in these languages, too.",
)
_MAX_LOOKED_AT = 2000
_MIN_CHARS, _MAX_CHARS = 40, 400
_SURE = 0.95
# of a language that is spoken less, a few rows are as likely mistakes
_MIN_ROWS, _MINORITY = 3, 0.2
_NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "et": "Estonian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian",
    "hu": "Hungarian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian",
    "nb": "Norwegian", "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian",
    "ru": "Russian", "sk": "Slovak", "sl": "Slovenian", "sv": "Swedish", "tr": "Turkish", "uk": "Ukrainian",
    "zh": "Chinese",
}  # fmt: skip


class Languages(Detector):
    """The sample is chosen by contents, so that the same examples are always looked at."""

    def __init__(self) -> None:
        self._sample: list[tuple[int, int, str]] = []
        self._languages: dict[str, list[int]] | None = None

    def observe(self, row: Look) -> None:
        # the smallest digests of all: a fair draw, whatever the order of the rows
        place = -int.from_bytes(row.digest[:8])
        if len(self._sample) >= _MAX_LOOKED_AT and place < self._sample[0][0]:
            return
        text = (" ".join(row.answers) or row.content.text or "")[:_MAX_CHARS]
        if len(text) < _MIN_CHARS:
            text = f"{row.asked[:_MAX_CHARS]} {text}"
        if len(text) < _MIN_CHARS:
            return
        one = (place, row.number, text)
        if len(self._sample) < _MAX_LOOKED_AT:
            heapq.heappush(self._sample, one)
        else:
            heapq.heappushpop(self._sample, one)

    def shares(self) -> list[Share]:
        """Of the rows whose language is told for sure, the most spoken first."""
        found = self._told()
        ranked = Counter({language: len(rows) for language, rows in found.items()}).most_common()
        return [Share(label=_NAMES.get(code, code), count=count) for code, count in ranked]

    def summary(self) -> Iterable[Finding]:
        found = self._told()
        total = sum(len(rows) for rows in found.values())
        few = {code: rows for code, rows in found.items() if _MIN_ROWS <= len(rows) < _MINORITY * total}
        if not few:
            return
        named = ", ".join(f"{_NAMES.get(code, code)} {len(rows):,}" for code, rows in few.items())
        looked_at = f"Of {total:,} examples whose language was looked at, a few are in another one: {named}."
        rows = sorted(number for numbers in few.values() for number in numbers)
        yield MIXED.finding(len(rows), rows, sentence=looked_at, can_be_listed=False)

    def _told(self) -> dict[str, list[int]]:
        if self._languages is None:
            self._languages = _told(self._sample)
        return self._languages


def _told(sample: list[tuple[int, int, str]]) -> dict[str, list[int]]:
    """The numbers of the rows, by language."""
    found: dict[str, list[int]] = {}
    if not sample:
        return found
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    for _, number, text in sorted(sample, key=lambda one: one[1]):
        code, sureness = identifier.classify(text)
        if sureness >= _SURE:
            found.setdefault(code, []).append(number)
    return found
