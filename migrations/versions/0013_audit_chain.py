"""The audit log as a chain of hashes, with where a deed came from, and a limit of stored bytes for each workspace.

What is there already is chained in the order of its ids. The encoding is written out here, frozen: that of
`core.audit.chain` may get a second version, and rows of this day keep their first.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC
from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations.append_only import forbid_changes
from migrations.row_level_security import protect

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_GENESIS = "0" * 64
_BATCH = 1000
_NEW_TEXTS = ("request_id", "client_address", "user_agent", "hash")


def upgrade() -> None:
    op.execute("drop trigger append_only on audit_events")
    op.alter_column("audit_events", "workspace_id", nullable=True)
    for name in _NEW_TEXTS:
        op.add_column("audit_events", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("audit_events", sa.Column("sequence", sa.BigInteger(), nullable=True))
    op.create_table(
        "audit_chains",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), sa.ForeignKey("workspaces.id"), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    protect("audit_chains")
    _chain_what_is_there()
    op.alter_column("audit_events", "hash", nullable=False)
    op.alter_column("audit_events", "sequence", nullable=False)
    op.drop_index(op.f("ix_audit_events_workspace_id"), "audit_events")
    op.create_index(
        "ix_audit_events_workspace_id_sequence",
        "audit_events",
        ["workspace_id", "sequence"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_index("ix_audit_events_workspace_id_target_id", "audit_events", ["workspace_id", "target_id"])
    forbid_changes("audit_events")
    op.add_column("workspaces", sa.Column("max_stored_bytes", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("workspaces", "max_stored_bytes")
    op.execute("drop trigger append_only on audit_events")
    op.execute("select set_config('app.scope', 'system', true)")
    op.drop_index("ix_audit_events_workspace_id_sequence", "audit_events")
    op.drop_index("ix_audit_events_workspace_id_target_id", "audit_events")
    # what concerns no workspace has no place in the log as it was
    op.execute("delete from audit_events where workspace_id is null")
    op.alter_column("audit_events", "workspace_id", nullable=False)
    for name in (*_NEW_TEXTS, "sequence"):
        op.drop_column("audit_events", name)
    op.create_index(op.f("ix_audit_events_workspace_id"), "audit_events", ["workspace_id"])
    op.drop_table("audit_chains")
    forbid_changes("audit_events")


def _chain_what_is_there() -> None:
    connection = op.get_bind()
    # row-level security binds the owner too
    op.execute("select set_config('app.scope', 'system', true)")
    sequence, digest, workspace_id, last_id = 0, _GENESIS, None, ""
    while rows := _after(connection, workspace_id or "", last_id):
        links = []
        for row in rows:
            if row.workspace_id != workspace_id:
                _end(connection, workspace_id, sequence, digest)
                sequence, digest, workspace_id = 0, _GENESIS, row.workspace_id
            sequence += 1
            digest = hashlib.sha256(f"{digest}\n{_encoded(row, sequence)}".encode()).hexdigest()
            links.append({"id": row.id, "sequence": sequence, "hash": digest})
            last_id = row.id
        connection.execute(sa.text("update audit_events set sequence = :sequence, hash = :hash where id = :id"), links)
    _end(connection, workspace_id, sequence, digest)


def _after(connection: sa.Connection, workspace_id: str, event_id: str) -> Iterable[sa.Row[Any]]:
    return connection.execute(
        sa.text(
            "select id, created_at, workspace_id, actor_user_id, actor_api_key_id, actor_name, action, target_id, "
            "details from audit_events where (workspace_id, id) > (:workspace_id, :event_id) "
            "order by workspace_id, id limit :batch"
        ),
        {"workspace_id": workspace_id, "event_id": event_id, "batch": _BATCH},
    ).all()


def _end(connection: sa.Connection, workspace_id: str | None, sequence: int, digest: str) -> None:
    if workspace_id is None:
        return
    connection.execute(
        sa.text("insert into audit_chains (id, workspace_id, sequence, hash) values (:id, :id, :sequence, :hash)"),
        {"id": workspace_id, "sequence": sequence, "hash": digest},
    )


def _encoded(row: sa.Row[Any], sequence: int) -> str:
    fields = [
        1,
        row.workspace_id,
        sequence,
        row.id,
        row.created_at.astimezone(UTC).isoformat(timespec="microseconds"),
        row.workspace_id,
        row.actor_user_id,
        row.actor_api_key_id,
        row.actor_name,
        row.action,
        row.target_id,
        None,
        None,
        None,
        _canonical(row.details),
    ]
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


def _canonical(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return value
