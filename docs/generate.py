"""Writes docs/reference.md: every setting, permission, error code and audit action, taken from the code itself.

`python docs/generate.py` writes it; `python docs/generate.py --check` says whether it is current.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import AliasChoices
from pydantic_core import PydanticUndefined

from core.config import Settings
from core.workspaces.roles import PERMISSIONS, Permission

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "reference.md"
SNAKE = re.compile(r"^[a-z][a-z0-9_]+$")
ACTION = re.compile(r"^[a-z_]+\.[a-z_.]+$")


def calls() -> Iterator[tuple[str, ast.Call]]:
    for package in ("core", "api", "worker"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    yield path.relative_to(ROOT).parent.as_posix(), node


def literals(keyword: str, pattern: re.Pattern[str]) -> dict[str, str]:
    """Literal values given to `keyword=` anywhere, with the folder that first uses each."""
    found: dict[str, str] = {}
    for home, call in calls():
        for argument in call.keywords:
            value = argument.value
            is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
            if argument.arg == keyword and is_text and pattern.match(value.value):  # type: ignore[attr-defined, unused-ignore]
                found.setdefault(value.value, home)  # type: ignore[attr-defined, unused-ignore]
    return dict(sorted(found.items()))


def settings_table() -> list[str]:
    lines = ["| variable | default | what it does |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"TAILORBIRD_{name.upper()}"
        default = "" if field.default in (None, PydanticUndefined) else f"`{field.default}`"
        lines.append(f"| `{variable}` | {default} | {field.description} |")
    return lines


def permissions_table() -> list[str]:
    roles = list(PERMISSIONS)
    lines = ["| permission | " + " | ".join(map(str, roles)) + " |", "|---" * (len(roles) + 1) + "|"]
    for permission in Permission:
        marks = ["yes" if permission in PERMISSIONS[role] else "" for role in roles]
        lines.append(f"| `{permission}` | " + " | ".join(marks) + " |")
    return lines


def found_table(heading: str, found: dict[str, str]) -> list[str]:
    rows = [f"| `{name}` | `{home}` |" for name, home in found.items()]
    return [f"| {heading} | first used in |", "|---|---|", *rows]


def render() -> str:
    sections = {
        "Settings": settings_table(),
        "Permissions": permissions_table(),
        "Error codes": found_table("`error.code`", literals("code", SNAKE)),
        "Audit actions": found_table("action", literals("action", ACTION)),
    }
    text = "# Reference\n\nWritten by `make docs` from the code; edit the code, not this page.\n"
    for title, lines in sections.items():
        text += f"\n## {title}\n\n" + "\n".join(lines) + "\n"
    return text


def main() -> int:
    text = render()
    if "--check" in sys.argv:
        if TARGET.read_text() == text:
            return 0
        sys.stderr.write("docs/reference.md is stale: run `make docs` and commit it.\n")
        return 1
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
