"""A workspace with very many runs: copies of one that was made in earnest, by the database itself."""

from collections.abc import Mapping

from sqlalchemy import Connection, text

_BATCH = 50_000
_COLUMNS = """
    select column_name from information_schema.columns
    where table_schema = 'public' and table_name = :table and is_identity = 'NO' and is_generated = 'NEVER'
"""
_STATE = """
    case when n > {num} - 200 then 'queued' when n % 100 = 1 then 'cancelled' when n % 50 = 0 then 'failed'
    else 'succeeded' end
"""
# a tenth has none, half are of one team, and a handful in a hundred thousand are a customer's
METADATA = """
    (case when n % 10 = 0 then null when n % 13334 = 7 then '{"team": "a", "customer": "rare"}'
    when n % 2 = 1 then '{"team": "a"}' else '{"team": "b"}' end)::jsonb
"""


def run_id(number: int) -> str:
    """Of the copy with that number; a greater one is newer."""
    return f"ftjob-{number:026}"


def fill(connection: Connection, *, template_run_id: str, num: int) -> None:
    """`num` runs with their jobs beside the one that is there. The connection is the owner's.

    The last 200 wait; of the others most succeeded, one in fifty failed, and one in a hundred was cancelled.
    """
    _begin(connection)
    job_id = connection.scalar(text("select job_id from runs where id = :id"), {"id": template_run_id})
    age = f"now() - ({num} - n) * interval '1 second'"
    number = "lpad(n::text, 26, '0')"
    state = _STATE.format(num=num)
    for first in range(1, num + 1, _BATCH):
        last = min(first + _BATCH - 1, num)
        job = {"id": f"'job_' || {number}", "state": state, "queue_rank": "n", "created_at": age, "queued_at": age}
        _copy(
            connection, "jobs", job | {"finished_at": f"case when n <= {num} - 200 then {age} end"}, job_id, first, last
        )
        run = {"id": f"'ftjob-' || {number}", "job_id": f"'job_' || {number}", "name": "'run ' || n"}
        _copy(connection, "runs", run | {"metadata": METADATA, "created_at": age}, template_run_id, first, last)
        connection.execute(
            text(
                "insert into run_metadata (workspace_id, key, value, run_id) "
                "select workspace_id, pair.key, pair.value, id from runs "
                "cross join lateral jsonb_each_text(metadata) as pair where id between :first and :last"
            ),
            {"first": run_id(first), "last": run_id(last)},
        )
        connection.commit()
        _begin(connection)
    connection.execute(text("analyze jobs, runs, run_metadata"))
    connection.commit()


def _begin(connection: Connection) -> None:
    connection.execute(text("select set_config('app.scope', 'system', true)"))


def _copy(
    connection: Connection, table: str, changes: Mapping[str, str], template_id: str, first: int, last: int
) -> None:
    columns = connection.scalars(text(_COLUMNS), {"table": table}).all()
    values = ", ".join(changes.get(name, f"t.{name}") for name in columns)
    connection.exec_driver_sql(
        f"insert into {table} ({', '.join(columns)}) select {values} from {table} t, "
        f"generate_series({first}, {last}) n where t.id = '{template_id}'".replace("%", "%%")
    )
