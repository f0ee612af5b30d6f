"""Dates of rows that cannot be read: such a row cannot be placed in time."""

from core.datasets.health.detector import Rule
from core.datasets.types import Severity

DATE_UNREADABLE = Rule(
    code="date_unreadable",
    severity=Severity.WARNING,
    one="1 example has no date that can be read.",
    many="{count} examples have no date that can be read.",
    cause="Its date is missing or cannot be read.",
    advice="Write dates like 2026-11-28. Where the newest examples are held back, one without a date is learned from.",
)
