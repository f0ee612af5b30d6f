from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Created, WorkspaceOwned
from core.db.enum_text import EnumText


class LedgerKind(StrEnum):
    TRAINING = "training"
    INFERENCE = "inference"
    EXPORT = "export"


class Price(Created, Base):
    """What an hour of some hardware costs from `valid_from` on, until a later price of the same hardware."""

    __tablename__ = "prices"
    __table_args__ = (UniqueConstraint("hardware", "valid_from"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    hardware: Mapped[str]
    """`cpu`, or `gpu:` and the model, such as `gpu:h100`."""
    micros_per_hour: Mapped[int]
    valid_from: Mapped[datetime]
    source: Mapped[str]


class LedgerEntry(WorkspaceOwned, Base):
    """Something that was used and paid for, once for each source. The database refuses to change or delete one."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        UniqueConstraint("kind", "source_id"),
        Index("ix_ledger_entries_workspace_id_id", "workspace_id", "id"),
    )

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[LedgerKind] = mapped_column(EnumText(LedgerKind))
    source_id: Mapped[str]
    """The run, the completion or the export that is charged."""
    amount_micros: Mapped[int]
    seconds: Mapped[float]
    tokens: Mapped[int]
    model: Mapped[str | None]
    """Of an answer: who gave it; of an export: what was packed."""
    alias: Mapped[str | None]
    """Of an answer: the alias that was asked for, if it was one."""
    created_by: Mapped[str | None]
