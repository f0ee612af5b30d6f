"""What a request may have changed: every row of the database, and what was sent to the outside."""

from typing import Any

from sqlalchemy import Engine, text

from core.backends.registry import Backends

# when something was last used is noted by a look too
_MOMENTS_OF_USE = "'{last_used_at,last_seen_at}'::text[]"


def fingerprint(owner_engine: Engine, backends: Backends) -> dict[str, Any]:
    """For every table a hash of all its rows; what was rung, announced and mailed; the names of all objects."""
    with owner_engine.begin() as connection:
        connection.execute(text("select set_config('app.scope', 'system', true)"))
        tables = connection.scalars(text("select tablename from pg_tables where schemaname = 'public'")).all()
        row = f"to_jsonb(r) - {_MOMENTS_OF_USE}"
        hashes = " union all ".join(
            f"select '{table}', md5(string_agg(({row})::text, ',' order by ({row})::text)) from {table} r"
            for table in tables
        )
        found: dict[str, Any] = {row[0]: row[1] for row in connection.execute(text(hashes))}
    edges: Any = backends
    found["outside"] = (list(edges.queue.rung), list(edges.events.published), list(edges.mail.sent))
    found["objects"] = sorted(backends.blobs.keys(""))
    return found


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What is not as it was: empty if nothing changed."""
    return {name: (before.get(name), after.get(name)) for name in before | after if before.get(name) != after.get(name)}
