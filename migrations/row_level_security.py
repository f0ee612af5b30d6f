"""Row-level security for a workspace's table, written once.

Forced, so that it binds the table's owner too. A transaction that has told no scope sees nothing (`current_setting(...,
true)` is null or empty, and no id is empty).
"""

from alembic import op


def protect(table: str) -> None:
    """Bind every role to the workspace of its transaction on `table`, which must have a `workspace_id` column."""
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(
        f"create policy workspace_isolation on {table} "
        "using (workspace_id = current_setting('app.workspace_id', true)) "
        "with check (workspace_id = current_setting('app.workspace_id', true))"
    )
    op.execute(
        f"create policy system_scope on {table} "
        "using (current_setting('app.scope', true) = 'system') "
        "with check (current_setting('app.scope', true) = 'system')"
    )
