"""A row has all its problems, not the gravest alone, and a version's health is a list of findings."""

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# what was counted, how grave it is, whether leaving the rows out helps, and its words
_COUNTED = (
    ("empty", "empty", "error", True, "rows lack a question or an answer and are left out."),
    ("card_numbers", "card_number", "warning", True, "examples contain what looks like a card number."),
    ("contradictions", "contradiction", "warning", False, "questions have different answers in different rows."),
    ("duplicates", "duplicate", "warning", True, "examples say the same as an earlier one."),
    ("too_long", "too_long", "warning", True, "examples are longer than the model reads; their ends are cut off."),
)


def upgrade() -> None:
    op.execute("select set_config('app.scope', 'system', true)")
    op.alter_column("rows", "problem", new_column_name="problems")
    # only rows that have one are written
    op.execute("update rows set problems = jsonb_build_array(problems) where problems is not null")
    _convert_health(_findings)


def downgrade() -> None:
    """Of a row's problems the first stays."""
    op.execute("select set_config('app.scope', 'system', true)")
    op.execute("update rows set problems = problems -> 0 where problems is not null")
    op.alter_column("rows", "problems", new_column_name="problem")
    _convert_health(_counts)


def _convert_health(convert: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    connection = op.get_bind()
    found = connection.execute(sa.text("select id, health from dataset_versions where health is not null")).all()
    for version_id, health in found:
        connection.execute(
            sa.text("update dataset_versions set health = cast(:health as jsonb) where id = :id"),
            {"id": version_id, "health": json.dumps(convert(health))},
        )


def _findings(health: dict[str, Any]) -> dict[str, Any]:
    return {
        "findings": [
            {
                "code": code,
                "severity": severity,
                "count": health[counter],
                "rows": [],
                "sentence": f"{health[counter]:,} {words}",
                "advice": "The rows say what to do.",
                "fixes": ["leave_out"] if can_leave_out else [],
            }
            for counter, code, severity, can_leave_out, words in _COUNTED
            if health.get(counter)
        ]
    }


def _counts(health: dict[str, Any]) -> dict[str, Any]:
    counts = {finding["code"]: finding["count"] for finding in health.get("findings", [])}
    return {counter: counts.get(code, 0) for counter, code, *_ in _COUNTED}
