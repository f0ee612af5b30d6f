"""Every detector, in the order in which a row's problems are told."""

from core.datasets.health.answers import CutOff, Placeholders, Refusals
from core.datasets.health.detector import Detector, Rule
from core.datasets.health.lengths import TooLong
from core.datasets.health.markup import ControlTokens, Markup
from core.datasets.health.personal import PersonalData
from core.datasets.health.secrets import Secrets
from core.datasets.health.whole_file import Boilerplate, Imbalance
from core.datasets.types import Fix, Severity


def row_detectors(*, max_row_tokens: int) -> list[Detector]:
    """Those that say something of single rows and share nothing."""
    return [
        Secrets(),
        PersonalData(),
        ControlTokens(),
        TooLong(max_row_tokens),
        CutOff(),
        Placeholders(),
        Refusals(),
        Markup(),
    ]


def file_detectors() -> list[Detector]:
    """Those that only say something of all rows."""
    return [Imbalance(), Boilerplate()]


def _left_out(code: str, one: str, many: str, advice: str) -> Rule:
    return Rule(
        code=code, severity=Severity.ERROR, one=one, many=many, cause=one, advice=advice, fixes=(Fix.LEAVE_OUT,)
    )


_MEND_THE_FILE = "Mend these rows in the file and bring it again, or go on without them."

# faults for which reading leaves a row out (`core.datasets.rows`, `core.datasets.formats`)
LEFT_OUT = {
    rule.code: rule
    for rule in (
        _left_out(
            "empty",
            "1 row lacks a question or an answer and is left out.",
            "{count} rows lack a question or an answer and are left out.",
            "Fill them in, or go on without them.",
        ),
        _left_out(
            "answers_alike",
            "1 row has the same answer on both sides and is left out.",
            "{count} rows have the same answer on both sides and are left out.",
            "Write two answers that differ, or go on without them.",
        ),
        _left_out(
            "nothing_to_learn",
            "1 row has no answer to learn, all its weights are 0; it is left out.",
            "{count} rows have no answer to learn, all their weights are 0; they are left out.",
            "Give the answers to be learned the weight 1, or go on without them.",
        ),
    )
}


def unreadable(code: str) -> Rule:
    """For whatever else a reader finds wrong with a single row."""
    return _left_out(
        code,
        "1 row could not be read and is left out.",
        "{count} rows could not be read and are left out.",
        _MEND_THE_FILE,
    )
