"""Jobs and who works on them; prices and the ledger."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.append_only import forbid_changes
from migrations.row_level_security import protect

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# What people paid in November 2026. Prices differ by a fifth within months and by a factor of four between sellers:
# these are a start, to be replaced by rows with a later `valid_from`.
_PRICES = [
    ("cpu", 60_000, "2026-11-01", "Default of this installation: set your own."),
    ("gpu:h100", 3_990_000, "2026-11-09", "H100 SXM 80 GB on demand: RunPod secure cloud and Lambda (8 GPUs)."),
    ("gpu:h200", 4_590_000, "2026-11-09", "H200 on demand: RunPod."),
    ("gpu:b200", 6_790_000, "2026-11-09", "B200 on demand: RunPod (Lambda: 6.69)."),
    ("gpu:a100-80gb", 2_790_000, "2026-11-09", "A100 80 GB on demand: Lambda."),
    ("gpu:a100-40gb", 1_990_000, "2026-11-09", "A100 40 GB on demand: Lambda."),
    ("gpu:a40", 440_000, "2026-11-09", "A40 48 GB on demand: RunPod."),
    ("gpu:a6000", 1_090_000, "2026-11-09", "RTX A6000 48 GB on demand: Lambda."),
    ("gpu:a10g", 1_006_000, "2026-11-09", "A10G on demand: AWS g5.xlarge, June 2026."),
    ("gpu:rtx-4090", 340_000, "2026-11-09", "RTX 4090 on demand: gputracker."),
]

# How much work stands before a job, over all workspaces. It tells counts and sums only, which is why it may look past
# the row-level security of the caller's scope.
_WORK_AHEAD = """
create function work_ahead(wanted_queue text, own_priority bigint, own_created_at timestamptz, own_id text)
returns table (num_queued bigint, num_running bigint, known_s double precision, num_unknown bigint, num_workers bigint)
language plpgsql as $$
declare
    scope text := coalesce(current_setting('app.scope', true), '');
begin
    perform set_config('app.scope', 'system', true);
    return query
        with ahead as (
            select state, case state
                when 'running' then greatest(0, extract(epoch from estimated_finish_at - now()))::double precision
                else estimated_s end as left_s
            from jobs
            where queue = wanted_queue and id <> own_id
              and (state = 'running' or (state = 'queued' and (
                  priority > own_priority
                  or (priority = own_priority and (created_at, id) < (own_created_at, own_id)))))
        )
        select count(*) filter (where ahead.state = 'queued'), count(*) filter (where ahead.state = 'running'),
            coalesce(sum(ahead.left_s), 0)::double precision, count(*) filter (where ahead.left_s is null),
            (select count(*) from workers where queue = wanted_queue and heartbeat_at > now() - interval '1 minute')
        from ahead;
    perform set_config('app.scope', scope, true);
end $$
"""


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _moment(name: str, *, nullable: bool = True) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _int(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _created() -> sa.Column[datetime]:
    return sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)


def _workspace() -> sa.Column[str]:
    return sa.Column("workspace_id", sa.Text(), sa.ForeignKey("workspaces.id"), nullable=False)


def upgrade() -> None:
    _create_jobs()
    _create_attempts_and_events()
    _create_workers()
    _create_usage()
    op.execute(_WORK_AHEAD)


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        _text("id"),
        _workspace(),
        _text("kind"),
        _text("queue"),
        _text("state"),
        _text("stage", nullable=True),
        _int("priority"),
        _moment("not_before"),
        _int("attempt"),
        _int("num_interruptions"),
        _int("max_attempts"),
        _text("lease_owner", nullable=True),
        _moment("lease_expires_at"),
        _moment("heartbeat_at"),
        _moment("cancel_requested_at"),
        _int("progress_step", nullable=True),
        _int("progress_total_steps", nullable=True),
        sa.Column("estimated_s", sa.Double(), nullable=True),
        _moment("estimated_finish_at"),
        sa.Column("payload", JSONB(), nullable=False),
        sa.Column("error", JSONB(), nullable=True),
        _text("blame", nullable=True),
        _text("created_by", nullable=True),
        _created(),
        _moment("started_at"),
        _moment("finished_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint(
            "state in ('validating', 'queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')", name="state"
        ),
        # whoever runs has a lease, and whoever has a lease runs
        sa.CheckConstraint("(state = 'running') = (lease_expires_at is not null)", name="lease"),
        sa.CheckConstraint(
            "(state in ('succeeded', 'failed', 'cancelled')) = (finished_at is not null)", name="finished"
        ),
    )
    op.create_index("ix_jobs_workspace_id", "jobs", ["workspace_id"])
    op.create_index(
        "ix_jobs_queue_waiting",
        "jobs",
        ["queue", "priority", "created_at"],
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_jobs_lease_expires_at", "jobs", ["lease_expires_at"], postgresql_where=sa.text("state = 'running'")
    )
    protect("jobs")


def _create_attempts_and_events() -> None:
    op.create_table(
        "job_attempts",
        sa.Column("job_id", sa.Text(), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        _int("attempt"),
        _workspace(),
        _text("worker_id"),
        _created(),
        _moment("ended_at"),
        _text("outcome", nullable=True),
        sa.Column("error", JSONB(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", "attempt"),
    )
    op.create_index("ix_job_attempts_workspace_id", "job_attempts", ["workspace_id"])
    protect("job_attempts")
    op.create_table(
        "job_events",
        _text("id"),
        _workspace(),
        sa.Column("job_id", sa.Text(), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        _int("attempt"),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        _text("level"),
        _text("type"),
        _text("message"),
        sa.Column("data", JSONB(), nullable=True),
        _created(),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_job_events_workspace_id", "job_events", ["workspace_id"])
    op.create_index("ix_job_events_job_id_seq", "job_events", ["job_id", "seq"], unique=True)
    protect("job_events")


def _create_workers() -> None:
    op.create_table(
        "workers",
        _text("id"),
        _text("hostname"),
        _text("queue"),
        _int("pid"),
        _text("version"),
        _moment("started_at", nullable=False),
        _moment("heartbeat_at", nullable=False),
        _created(),
        sa.PrimaryKeyConstraint("id"),
    )


def _create_usage() -> None:
    prices = op.create_table(
        "prices",
        _text("id"),
        _text("hardware"),
        _int("micros_per_hour"),
        _moment("valid_from", nullable=False),
        _text("source"),
        _created(),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hardware", "valid_from"),
    )
    op.bulk_insert(
        prices,
        [
            {
                "id": f"price_{hardware.replace(':', '_')}_{valid_from}",
                "hardware": hardware,
                "micros_per_hour": micros_per_hour,
                "valid_from": datetime.fromisoformat(valid_from).replace(tzinfo=UTC),
                "source": source,
            }
            for hardware, micros_per_hour, valid_from, source in _PRICES
        ],
    )
    op.create_table(
        "ledger_entries",
        _text("id"),
        _workspace(),
        _text("kind"),
        _text("source_id"),
        _int("amount_micros"),
        sa.Column("seconds", sa.Double(), nullable=False),
        _int("tokens"),
        _text("created_by", nullable=True),
        _created(),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "source_id"),
    )
    op.create_index("ix_ledger_entries_workspace_id", "ledger_entries", ["workspace_id"])
    protect("ledger_entries")
    forbid_changes("ledger_entries")


def downgrade() -> None:
    op.execute("drop function work_ahead")
    for table in ("ledger_entries", "prices", "workers", "job_events", "job_attempts", "jobs"):
        op.drop_table(table)
