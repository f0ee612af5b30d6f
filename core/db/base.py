"""The declarative base, column types and the mixin of every table that belongs to a workspace."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Double, ForeignKey, MetaData, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    # str is text, numbers are 64 bits, datetime is aware, dict and list are jsonb: one mapping for the whole house
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's declared shape
        str: Text,
        int: BigInteger,
        float: Double,
        datetime: DateTime(timezone=True),
        # None in Python is null in SQL, not the JSON word
        dict[str, Any]: JSONB(none_as_null=True),
        list[Any]: JSONB(none_as_null=True),
    }


class Created:
    """When the row was made, by the database's clock."""

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class WorkspaceOwned(Created):
    """A row that belongs to one workspace. Its table must have row-level security (a test checks).

    The table of a long list says `workspace_id` anew, without an index, and has one of `workspace_id` and `id`: that
    finds a page of one workspace wherever it begins.
    """

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), index=True)
