"""Who may do what: reviewers, many workspaces, invitations, service accounts, keys that expire."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.row_level_security import protect

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLES = ("memberships", "api_keys")
_ROLES = "'viewer', 'reviewer', 'member', 'admin'"

# Finds a key in one statement, without a transaction around it. It brings its own scope, which ends with it; one key is
# all that it can show, and only to who has it.
_FIND_API_KEY = """
create function find_api_key(wanted_sha256 text) returns table (
    key_id text, workspace_id text, key_name text, key_role text, scopes jsonb,
    is_expired boolean, is_use_stale boolean,
    owner_id text, owner_name text, owner_role text, is_service_account boolean, is_installation_admin boolean
) language plpgsql as $$
declare
    scope_before text := coalesce(current_setting('app.scope', true), '');
begin
    perform set_config('app.scope', 'system', true);
    return query
    select k.id, k.workspace_id, k.name, k.role, k.scopes,
        coalesce(k.expires_at <= now(), false)
            or (k.token_sha256 <> wanted_sha256 and k.previous_expires_at <= now()),
        coalesce(k.last_used_at < now() - interval '1 minute', true),
        coalesce(u.id, s.id), coalesce(u.name, s.name), coalesce(m.role, s.role),
        s.id is not null, coalesce(u.is_installation_admin, false)
    from api_keys k
    join workspaces w on w.id = k.workspace_id and w.archived_at is null
    left join (memberships m join users u on u.id = m.user_id)
        on m.workspace_id = k.workspace_id and m.user_id = k.user_id
    left join service_accounts s on s.id = k.service_account_id and s.deleted_at is null
    where (k.token_sha256 = wanted_sha256 or k.previous_token_sha256 = wanted_sha256)
        and k.revoked_at is null and coalesce(u.id, s.id) is not null;
    perform set_config('app.scope', scope_before, true);
end $$
"""


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _created() -> sa.Column[object]:
    return sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _workspace() -> sa.Column[str]:
    return sa.Column("workspace_id", sa.Text(), sa.ForeignKey("workspaces.id"), nullable=False)


def upgrade() -> None:
    op.execute("select set_config('app.scope', 'system', true)")
    _set_roles(_ROLES)
    op.add_column("workspaces", _moment("archived_at", nullable=True))
    op.add_column(
        "sessions", sa.Column("current_workspace_id", sa.Text(), sa.ForeignKey("workspaces.id"), nullable=True)
    )
    _create_service_accounts()
    _extend_api_keys()
    _create_invitations()
    op.execute(_FIND_API_KEY)


def _create_service_accounts() -> None:
    op.create_table(
        "service_accounts",
        _text("id"),
        _workspace(),
        _text("name"),
        _text("role"),
        _text("created_by"),
        _moment("deleted_at", nullable=True),
        _created(),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint(f"role in ({_ROLES})", name="role"),
    )
    op.create_index(op.f("ix_service_accounts_workspace_id"), "service_accounts", ["workspace_id"])
    protect("service_accounts")


def _extend_api_keys() -> None:
    op.add_column("api_keys", sa.Column("user_id", sa.Text(), sa.ForeignKey("users.id"), nullable=True))
    op.add_column(
        "api_keys", sa.Column("service_account_id", sa.Text(), sa.ForeignKey("service_accounts.id"), nullable=True)
    )
    op.add_column("api_keys", sa.Column("scopes", JSONB(), nullable=True))
    op.add_column("api_keys", _moment("expires_at", nullable=True))
    op.add_column("api_keys", _text("previous_token_sha256", nullable=True))
    op.add_column("api_keys", _moment("previous_expires_at", nullable=True))
    op.create_unique_constraint(op.f("uq_api_keys_previous_token_sha256"), "api_keys", ["previous_token_sha256"])
    op.execute("update api_keys set user_id = created_by")
    # who made a key need not be a person, nor whom it acts for
    op.drop_constraint(op.f("fk_api_keys_created_by"), "api_keys")
    op.create_check_constraint("owner", "api_keys", "num_nonnulls(user_id, service_account_id) = 1")


def _create_invitations() -> None:
    op.create_table(
        "invitations",
        _text("id"),
        _workspace(),
        _text("email"),
        _text("role"),
        _text("token_sha256"),
        _text("invited_by"),
        _text("inviter_name"),
        _moment("expires_at"),
        _moment("accepted_at", nullable=True),
        _moment("revoked_at", nullable=True),
        _created(),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_sha256"),
        sa.CheckConstraint(f"role in ({_ROLES})", name="role"),
    )
    op.create_index(op.f("ix_invitations_workspace_id"), "invitations", ["workspace_id"])
    op.create_index(
        "ix_invitations_open_email",
        "invitations",
        ["workspace_id", "email"],
        unique=True,
        postgresql_where=sa.text("accepted_at is null and revoked_at is null"),
    )
    protect("invitations")


def downgrade() -> None:
    op.execute("select set_config('app.scope', 'system', true)")
    op.execute("drop function find_api_key(text)")
    op.drop_table("invitations")
    op.drop_constraint(op.f("ck_api_keys_owner"), "api_keys")
    # keys of service accounts act for nobody whom the older tables know
    op.execute("delete from api_keys where user_id is null")
    op.execute("update api_keys set created_by = user_id")
    op.create_foreign_key(op.f("fk_api_keys_created_by"), "api_keys", "users", ["created_by"], ["id"])
    for column in (
        "previous_expires_at",
        "previous_token_sha256",
        "expires_at",
        "scopes",
        "service_account_id",
        "user_id",
    ):
        op.drop_column("api_keys", column)
    op.drop_table("service_accounts")
    op.drop_column("sessions", "current_workspace_id")
    op.drop_column("workspaces", "archived_at")
    for table in _TABLES:
        op.execute(f"update {table} set role = 'viewer' where role = 'reviewer'")  # noqa: S608 - ours
    _set_roles("'viewer', 'member', 'admin'")


def _set_roles(roles: str) -> None:
    for table in _TABLES:
        op.drop_constraint(op.f(f"ck_{table}_role"), table)
        op.create_check_constraint(op.f(f"ck_{table}_role"), table, f"role in ({roles})")
