"""How Postgres answers what a piece of code asks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from core.db.session import Database, Scope
from tests.factories.statements import statements


@dataclass(frozen=True, slots=True)
class Plan:
    steps: tuple[str, ...]
    """Such as `Index Scan Backward using ix_runs_workspace_id_id on runs: 21 rows`, from the outermost."""
    scanned: frozenset[str]
    """Tables that were read from their beginning."""
    most_rows: int
    """That one of the steps gave or threw away."""
    milliseconds: float


def plans(database: Database, scope: Scope, ask: Callable[[Session], object]) -> list[Plan]:
    """Of every query that `ask` makes, with its values, in the order made."""
    with database.session(scope) as session:
        with statements() as asked:
            ask(session)
        connection = session.connection()
        return [
            _plan(connection.exec_driver_sql(f"explain (analyze, format json) {statement}", values).scalar_one()[0])
            for statement, values in asked
            if statement.lstrip().lower().startswith(("select", "with"))
        ]


def _plan(found: dict[str, Any]) -> Plan:
    nodes = list(_nodes(found["Plan"]))
    return Plan(
        steps=tuple(_step(node) for node in nodes),
        scanned=frozenset(node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"),
        most_rows=max(int(node["Actual Loops"] * (node["Actual Rows"] + _filtered(node))) for node in nodes),
        milliseconds=round(found["Planning Time"] + found["Execution Time"], 2),
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", []):
        yield from _nodes(inner)


def _filtered(node: dict[str, Any]) -> float:
    return float(node.get("Rows Removed by Filter", 0)) + float(node.get("Rows Removed by Index Recheck", 0))


def _step(node: dict[str, Any]) -> str:
    backward = " Backward" if node.get("Scan Direction") == "Backward" else ""
    index = f" using {node['Index Name']}" if "Index Name" in node else ""
    table = f" on {node['Relation Name']}" if "Relation Name" in node else ""
    return f"{node['Node Type']}{backward}{index}{table}: {node['Actual Rows'] * node['Actual Loops']:.0f} rows"
