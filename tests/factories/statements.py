"""What is said to the database, whichever way it is said."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import psycopg


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """In this block, every statement of this process with its values, in the order made."""
    said: list[tuple[str, Any]] = []
    execute = psycopg.Cursor.execute

    def noted(cursor: Any, statement: Any, values: Any = None, **options: Any) -> Any:  # noqa: ANN401 - psycopg's own
        text = statement.as_string() if isinstance(statement, psycopg.sql.Composable) else statement
        said.append((text, values))
        return execute(cursor, statement, values, **options)

    with patch.object(psycopg.Cursor, "execute", noted):
        yield said
