"""Who may do what: reviewers, many workspaces, invitations, service accounts, keys that expire."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLES = ("memberships", "api_keys")


def upgrade() -> None:
    _set_roles("'viewer', 'reviewer', 'member', 'admin'")


def downgrade() -> None:
    op.execute("select set_config('app.scope', 'system', true)")
    for table in _TABLES:
        op.execute(f"update {table} set role = 'viewer' where role = 'reviewer'")  # noqa: S608 - ours
    _set_roles("'viewer', 'member', 'admin'")


def _set_roles(roles: str) -> None:
    for table in _TABLES:
        op.drop_constraint(op.f(f"ck_{table}_role"), table)
        op.create_check_constraint(op.f(f"ck_{table}_role"), table, f"role in ({roles})")
