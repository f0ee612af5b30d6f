"""What can be asked of the rows of a version."""

from dataclasses import dataclass

from core.datasets.types import RowFilter, RowOrder


@dataclass(frozen=True, slots=True)
class RowQuery:
    """Which rows are wanted, in which order; `offset` counts from the first that matches."""

    row_filter: RowFilter = RowFilter.ALL
    finding: str | None = None
    tag: str | None = None
    search: str | None = None
    min_tokens: int | None = None
    max_tokens: int | None = None
    order: RowOrder = RowOrder.NUMBER
    after_number: int = 0
    offset: int = 0
    limit: int = 20

    @property
    def is_all(self) -> bool:
        return self.row_filter is RowFilter.ALL and not (self.finding or self.tag or self.search or self.has_length)

    @property
    def has_length(self) -> bool:
        return self.min_tokens is not None or self.max_tokens is not None
