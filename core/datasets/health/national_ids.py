"""Numbers by which states know people: by form and check digit, and by the word before where a form says little."""

import re
from collections.abc import Callable, Iterator

from stdnum.be import nn
from stdnum.br import cpf
from stdnum.ch import ssn as ahv
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.se import personnummer
from stdnum.us import ssn

_CHARS_BEFORE = 40


def _words(*words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.IGNORECASE)


# its form, who checks it, and the words of which one must stand before it, if any
_NUMBERS: tuple[tuple[re.Pattern[str], Callable[[str], bool], re.Pattern[str] | None], ...] = (
    (re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"), ssn.is_valid, _words("ssn", "social security(?: number)?")),
    (re.compile(r"(?<!\w)[A-Z]{6}\d{2}[A-EHLMPR-T]\d{2}[A-Z]\d{3}[A-Z](?!\w)"), codicefiscale.is_valid, None),
    (re.compile(r"(?<!\w)[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}(?!\w)"), nir.is_valid, None),
    (re.compile(r"(?<![\w.-])\d{3}\.\d{3}\.\d{3}-\d{2}(?![\w-])"), cpf.is_valid, None),
    (re.compile(r"(?<![\w.])756\.\d{4}\.\d{4}\.\d{2}(?![\w.]*\d)"), ahv.is_valid, None),
    (re.compile(r"(?<![\w.])\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}(?![\w.]*\d)"), nn.is_valid, None),
    (
        re.compile(r"(?<![\w-])\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y](?![\w-])"),
        hetu.is_valid,
        _words("hetu", "henkilötunnus", "personal identity code"),
    ),
    (
        re.compile(r"(?<![\w-])\d{6}[-+]\d{4}(?![\w-])"),
        personnummer.is_valid,
        _words("personnummer", "personal number"),
    ),
    (re.compile(r"(?<!\w)\d{8}[A-Z](?!\w)"), dni.is_valid, _words("dni", "nif")),
    (re.compile(r"(?<!\w)[XYZ]\d{7}[A-Z](?!\w)"), nie.is_valid, _words("nie", "nif")),
    (
        re.compile(r"(?<![\w.,-])\d{2} ?\d{3} ?\d{3} ?\d{3}(?![\w-])"),
        idnr.is_valid,
        _words("steuer-?id", "steueridentifikationsnummer", "idnr", "tax id"),
    ),
    (re.compile(r"(?<![\w.,-])\d{11}(?![\w-])"), pesel.is_valid, _words("pesel")),
    (re.compile(r"(?<![\w.,-])\d{9}(?![\w-])"), bsn.is_valid, _words("bsn", "burgerservicenummer")),
)


def national_id_spans(text: str) -> Iterator[tuple[int, int]]:
    for form, is_valid, words in _NUMBERS:
        for found in form.finditer(text):
            before = text[max(found.start() - _CHARS_BEFORE, 0) : found.start()]
            if (words is None or words.search(before)) and is_valid(found.group()):
                yield found.span()
