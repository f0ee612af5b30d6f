"""Stable names for models, with their history, prompt profiles and shadow answers; which model an entry paid for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem

from migrations.row_level_security import protect

revision = "0027"
down_revision = "0025"
branch_labels = None
depends_on = None


def _owned(name: str, *columns: SchemaItem) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False, index=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        *columns,
    )
    protect(name)


def upgrade() -> None:
    _owned(
        "aliases",
        sa.Column("created_by", sa.Text),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("release", sa.BigInteger, nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.UniqueConstraint("workspace_id", "name", name="uq_aliases_workspace_id_name"),
    )
    _owned(
        "alias_releases",
        sa.Column("created_by", sa.Text),
        sa.Column("alias_id", sa.Text, sa.ForeignKey("aliases.id"), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("plan", JSONB, nullable=False),
        sa.Column("template_sha256s", JSONB, nullable=False),
        sa.Column("rolled_back_to", sa.BigInteger),
        sa.Column("note", sa.Text, nullable=False),
        sa.UniqueConstraint("alias_id", "number", name="uq_alias_releases_alias_id_number"),
    )
    _owned(
        "prompt_profiles",
        sa.Column("created_by", sa.Text),
        sa.Column("alias_id", sa.Text, sa.ForeignKey("aliases.id"), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("system_prompt", sa.Text, nullable=False),
        sa.Column("sampling", JSONB, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.UniqueConstraint("alias_id", "version", name="uq_prompt_profiles_alias_id_version"),
    )
    _owned(
        "shadow_answers",
        sa.Column("alias_id", sa.Text, sa.ForeignKey("aliases.id"), nullable=False),
        sa.Column("completion_id", sa.Text, nullable=False),
        sa.Column("release", sa.BigInteger, nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("shown_model", sa.Text, nullable=False),
        sa.Column("shown_text", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("text", sa.Text),
        sa.Column("problem", sa.Text),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_shadow_answers_alias_id_id", "shadow_answers", ["alias_id", "id"])
    op.add_column("ledger_entries", sa.Column("model", sa.Text))
    op.add_column("ledger_entries", sa.Column("alias", sa.Text))


def downgrade() -> None:
    op.drop_column("ledger_entries", "alias")
    op.drop_column("ledger_entries", "model")
    for table in ("shadow_answers", "prompt_profiles", "alias_releases", "aliases"):
        op.drop_table(table)
