"""Ways to sign in: single sign-on, codes of an app, links that set a password; sessions that can be recognised."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLES = ("oidc_flows", "linked_identities", "recovery_codes", "totp_factors", "password_resets")


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _created() -> sa.Column[object]:
    return sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _user(*, nullable: bool = False) -> sa.Column[str]:
    return sa.Column("user_id", sa.Text(), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=nullable)


def upgrade() -> None:
    op.alter_column("users", "password_hash", nullable=True)
    op.add_column("sessions", _text("user_agent", nullable=True))
    op.add_column("sessions", _text("client_address", nullable=True))
    op.add_column("sign_in_attempts", _text("client", nullable=True))
    op.create_index("ix_sign_in_attempts_client_created_at", "sign_in_attempts", ["client", "created_at"])
    _create_password_resets()
    _create_second_factor()
    _create_single_sign_on()


def _create_password_resets() -> None:
    op.create_table(
        "password_resets",
        _text("id"),
        _text("email"),
        _user(nullable=True),
        _text("token_sha256"),
        _moment("expires_at"),
        _moment("used_at", nullable=True),
        _created(),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_sha256"),
    )
    op.create_index("ix_password_resets_email_created_at", "password_resets", ["email", "created_at"])
    op.create_index(op.f("ix_password_resets_user_id"), "password_resets", ["user_id"])


def _create_second_factor() -> None:
    op.create_table(
        "totp_factors",
        _user(),
        _text("sealed_secret"),
        _moment("confirmed_at", nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=True),
        _created(),
        sa.PrimaryKeyConstraint("user_id"),
    )
    op.create_table(
        "recovery_codes",
        _user(),
        _text("code_sha256"),
        _created(),
        sa.PrimaryKeyConstraint("user_id", "code_sha256"),
    )


def _create_single_sign_on() -> None:
    op.create_table(
        "linked_identities",
        _text("id"),
        _user(),
        _text("issuer"),
        _text("subject"),
        _text("email", nullable=True),
        _moment("last_used_at"),
        _created(),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("issuer", "subject"),
    )
    op.create_index(op.f("ix_linked_identities_user_id"), "linked_identities", ["user_id"])
    op.create_table(
        "oidc_flows",
        _text("token_sha256"),
        _text("return_to"),
        _user(nullable=True),
        _moment("expires_at"),
        _created(),
        sa.PrimaryKeyConstraint("token_sha256"),
    )
    op.create_index(op.f("ix_oidc_flows_expires_at"), "oidc_flows", ["expires_at"])


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)
    op.drop_index("ix_sign_in_attempts_client_created_at", "sign_in_attempts")
    op.drop_column("sign_in_attempts", "client")
    op.drop_column("sessions", "client_address")
    op.drop_column("sessions", "user_agent")
    # before this, everybody had a password; no hash looks like this one, so that it opens nothing
    op.execute("update users set password_hash = 'none' where password_hash is null")
    op.alter_column("users", "password_hash", nullable=False)
