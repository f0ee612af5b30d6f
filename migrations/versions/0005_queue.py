"""The queue as a product: turns, pauses, what children print; workers that are joined and drained; checkpoints kept."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.row_level_security import protect

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# How much work has its turn before a job, over all workspaces. It tells counts and sums only, which is why it may look
# past the row-level security of the caller's scope. Of every other workspace as many jobs go first as of the job's own,
# and one more where that workspace's turn comes sooner: an estimate of the turns that `claim` will give.
_WORK_AHEAD = """
create function work_ahead(
    wanted_queue text, own_workspace text, own_priority bigint, own_rank double precision, own_id text)
returns table (num_queued bigint, num_running bigint, known_s double precision, num_unknown bigint, num_workers bigint)
language plpgsql as $$
declare
    scope text := coalesce(current_setting('app.scope', true), '');
begin
    perform set_config('app.scope', 'system', true);
    return query
        with waiting as (
            select workspace_id, priority, queue_rank, id, estimated_s from jobs
            where queue = wanted_queue and state = 'queued' and id <> own_id
              and (not_before is null or not_before <= now())
        ), own as (
            select count(*) as num, coalesce(sum(estimated_s), 0) as known_s,
                count(*) filter (where estimated_s is null) as num_unknown,
                coalesce((select virtual_time from queue_shares s
                          where s.queue = wanted_queue and s.workspace_id = own_workspace),
                         (select virtual_time from queue_clocks c where c.queue = wanted_queue), 0) as turn
            from waiting
            where workspace_id = own_workspace
              and (priority > own_priority or (priority = own_priority and (queue_rank, id) < (own_rank, own_id)))
        ), others as (
            select least(count(*), own.num + (coalesce(min(s.virtual_time), 0) <= own.turn)::int) as num,
                avg(estimated_s) as mean_s, count(*) filter (where estimated_s is null) as num_unknown
            from waiting cross join own
            left join queue_shares s on s.queue = wanted_queue and s.workspace_id = waiting.workspace_id
            where waiting.workspace_id <> own_workspace
            group by waiting.workspace_id, own.num, own.turn
        ), running as (
            select greatest(0, extract(epoch from coalesce(
                estimated_finish_at, started_at + estimated_s * interval '1 second') - now())) as left_s
            from jobs where queue = wanted_queue and state = 'running' and id <> own_id
        )
        select
            (own.num + coalesce((select sum(num) from others), 0))::bigint,
            (select count(*) from running),
            (own.known_s + coalesce((select sum(num * mean_s) from others where others.num > 0), 0)
                + coalesce((select sum(left_s) from running), 0))::double precision,
            (own.num_unknown + coalesce((select sum(others.num_unknown) from others where others.num > 0), 0)
                + (select count(*) from running where left_s is null))::bigint,
            (select count(*) from workers where queue = wanted_queue and drain_requested_at is null
                and heartbeat_at > now() - interval '1 minute')
        from own;
    perform set_config('app.scope', scope, true);
end $$
"""
_OLD_ARGUMENTS = "text, bigint, timestamptz, text"
_NEW_ARGUMENTS = "text, text, bigint, double precision, text"


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _moment(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=True)


def _int(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _created() -> sa.Column[datetime]:
    return sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)


def _workspace() -> sa.Column[str]:
    return sa.Column("workspace_id", sa.Text(), sa.ForeignKey("workspaces.id"), nullable=False)


def upgrade() -> None:
    op.execute("select set_config('app.scope', 'system', true)")
    _extend_jobs()
    _create_turns()
    _create_logs()
    _extend_workers()
    _extend_runs()
    _mark_the_first_admin()
    op.execute(f"drop function work_ahead({_OLD_ARGUMENTS})")
    op.execute(_WORK_AHEAD)


def _extend_jobs() -> None:
    rank = "extract(epoch from clock_timestamp())::double precision"
    op.add_column("jobs", sa.Column("queue_rank", sa.Double(), server_default=sa.text(rank), nullable=False))
    op.add_column("jobs", _moment("queued_at"))
    op.add_column("jobs", _moment("pause_requested_at"))
    op.execute("update jobs set queue_rank = extract(epoch from created_at)")
    op.execute("update jobs set queued_at = created_at where state <> 'validating'")
    op.drop_index("ix_jobs_queue_waiting", "jobs")
    op.create_index(
        "ix_jobs_queue_turn",
        "jobs",
        ["queue", "workspace_id", sa.text("priority desc"), "queue_rank", "id"],
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_jobs_queue_running", "jobs", ["queue", "workspace_id"], postgresql_where=sa.text("state = 'running'")
    )
    op.create_index("ix_jobs_finished_at", "jobs", ["finished_at"])
    op.create_index("ix_job_attempts_created_at", "job_attempts", ["created_at"])


def _create_turns() -> None:
    op.create_table(
        "queue_shares",
        _text("queue"),
        _workspace(),
        sa.Column("virtual_time", sa.Double(), nullable=False),
        _int("max_running", nullable=True),
        _created(),
        sa.PrimaryKeyConstraint("queue", "workspace_id"),
        sa.CheckConstraint("max_running >= 0", name="max_running"),
    )
    op.create_index("ix_queue_shares_workspace_id", "queue_shares", ["workspace_id"])
    protect("queue_shares")
    op.create_table(
        "queue_clocks",
        _text("queue"),
        sa.Column("virtual_time", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("queue"),
    )
    op.execute(
        "insert into queue_shares (queue, workspace_id, virtual_time) select distinct queue, workspace_id, 0 from jobs"
    )


def _create_logs() -> None:
    op.create_table(
        "job_logs",
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job_id", sa.Text(), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        _workspace(),
        _int("attempt"),
        _text("text"),
        _created(),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("ix_job_logs_job_id_seq", "job_logs", ["job_id", "seq"])
    op.create_index("ix_job_logs_workspace_id", "job_logs", ["workspace_id"])
    protect("job_logs")


def _extend_workers() -> None:
    op.create_table(
        "worker_tokens",
        _text("id"),
        _text("name"),
        _text("token_sha256"),
        _text("created_by", nullable=True),
        _moment("last_used_at"),
        _moment("revoked_at"),
        _created(),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_sha256"),
    )
    for column in (
        sa.Column("hardware", sa.Text(), server_default="cpu", nullable=False),
        sa.Column("devices", JSONB(), server_default="[]", nullable=False),
        _int("memory_bytes", nullable=True),
        _int("used_memory_bytes", nullable=True),
        _moment("drain_requested_at"),
        _text("drain_mode", nullable=True),
        _text("job_id", nullable=True),
        sa.Column("num_jobs_done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("token_id", sa.Text(), sa.ForeignKey("worker_tokens.id"), nullable=True),
    ):
        op.add_column("workers", column)


def _extend_runs() -> None:
    op.add_column("runs", _text("cloned_from", nullable=True))
    op.add_column("runs", _int("max_cost_micros", nullable=True))
    op.create_table(
        "run_checkpoints",
        sa.Column("run_id", sa.Text(), sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        _int("attempt"),
        _int("step"),
        _workspace(),
        _text("key_prefix"),
        _text("digest"),
        _int("num_bytes"),
        _created(),
        sa.PrimaryKeyConstraint("run_id", "attempt", "step"),
    )
    op.create_index("ix_run_checkpoints_workspace_id", "run_checkpoints", ["workspace_id"])
    protect("run_checkpoints")


def _mark_the_first_admin() -> None:
    op.add_column("users", sa.Column("is_installation_admin", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.execute(
        "update users set is_installation_admin = true where id = "
        "(select user_id from memberships where role = 'admin' order by created_at, user_id limit 1)"
    )


def downgrade() -> None:
    op.execute(f"drop function work_ahead({_NEW_ARGUMENTS})")
    op.drop_column("users", "is_installation_admin")
    op.drop_table("run_checkpoints")
    op.drop_column("runs", "max_cost_micros")
    op.drop_column("runs", "cloned_from")
    for name in (
        "token_id", "num_jobs_done", "job_id", "drain_mode", "drain_requested_at",
        "used_memory_bytes", "memory_bytes", "devices", "hardware",
    ):  # fmt: skip
        op.drop_column("workers", name)
    for table in ("worker_tokens", "job_logs", "queue_clocks", "queue_shares"):
        op.drop_table(table)
    for index in ("ix_job_attempts_created_at",):
        op.drop_index(index, "job_attempts")
    for index in ("ix_jobs_finished_at", "ix_jobs_queue_running", "ix_jobs_queue_turn"):
        op.drop_index(index, "jobs")
    for name in ("pause_requested_at", "queued_at", "queue_rank"):
        op.drop_column("jobs", name)
    op.create_index(
        "ix_jobs_queue_waiting",
        "jobs",
        ["queue", "priority", "created_at"],
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.execute(_old_work_ahead())


def _old_work_ahead() -> str:
    from importlib import import_module  # noqa: PLC0415 - a module whose name begins with a digit

    definition: str = import_module("migrations.versions.0002_jobs")._WORK_AHEAD  # noqa: SLF001 - it is that migration's
    return definition
