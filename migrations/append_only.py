"""Tables of record: the database itself refuses to change or delete a row, whoever asks."""

from alembic import op


def create_guard() -> None:
    op.execute(
        "create function refuse_change() returns trigger language plpgsql as "
        "$$ begin raise exception '% is append-only', tg_table_name; end $$"
    )


def drop_guard() -> None:
    op.execute("drop function refuse_change()")


def forbid_changes(table: str) -> None:
    """Refuse every update and delete on `table`."""
    op.execute(
        f"create trigger append_only before update or delete on {table} for each row execute function refuse_change()"
    )
