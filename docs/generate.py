"""Writes docs/reference.md: settings, permissions, error codes, audit actions and more, taken from the code itself.

`python docs/generate.py` writes it; `python docs/generate.py --check` says whether it is current.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from pydantic import AliasChoices
from pydantic_core import PydanticUndefined

from core.config import Settings
from core.erasures.coverage import NOT_LOOKED_INTO, treatments
from core.vllm_settings import VllmSettings
from core.workspaces.roles import PERMISSIONS, Permission

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "reference.md"
SNAKE = re.compile(r"^[a-z][a-z0-9_]+$")
ACTION = re.compile(r"^[a-z_]+\.[a-z_.]+$")


@cache
def nodes() -> Sequence[tuple[str, ast.AST]]:
    """With the folder of each. Read once: to parse all files is most of the work."""
    paths = [path for package in ("core", "api", "worker") for path in sorted((ROOT / package).rglob("*.py"))]
    return [
        (path.relative_to(ROOT).parent.as_posix(), node)
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
    ]


def literals(values: Iterable[tuple[str, ast.expr]], pattern: re.Pattern[str]) -> dict[str, str]:
    """The texts among `values` that match, with the folder that first uses each."""
    found: dict[str, str] = {}
    for home, value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and pattern.match(value.value):
            found.setdefault(value.value, home)
    return dict(sorted(found.items()))


def given_to(parameter: str) -> Iterator[tuple[str, ast.expr]]:
    """Whatever calls give to a parameter of that name, by name or by position."""
    places = {name: place for _, node in nodes() for name, place in place_of(parameter, node)}
    for home, node in nodes():
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                yield from ((home, argument.value) for argument in node.keywords if argument.arg == parameter)
                if name in places:
                    yield from ((home, argument) for argument in node.args[places[name] : places[name] + 1])


def codes() -> Iterator[tuple[str, ast.expr]]:
    """Whatever is given to something called `code`: in a call, in a class, in a dictionary."""
    yield from given_to("code")
    for home, node in nodes():
        match node:
            case ast.Dict():
                pairs = zip(node.keys, node.values, strict=True)
                yield from (
                    (home, value) for key, value in pairs if isinstance(key, ast.Constant) and key.value == "code"
                )
            case ast.Assign(targets=[ast.Name(id="code")]):
                yield home, node.value
            case ast.Assign(targets=[ast.Tuple(elts=[_, ast.Name(id="code")])], value=ast.Tuple(elts=[_, value])):
                yield home, value


def place_of(parameter: str, node: ast.AST) -> Iterator[tuple[str, int]]:
    """Which argument of a function, or of a data class, is its `parameter`."""
    names: list[str] = []
    if isinstance(node, ast.FunctionDef):
        names = [argument.arg for argument in node.args.args if argument.arg != "self"]
    elif isinstance(node, ast.ClassDef) and node.decorator_list:
        fields = (field.target for field in node.body if isinstance(field, ast.AnnAssign))
        names = [field.id for field in fields if isinstance(field, ast.Name)]
    if parameter in names:
        yield node.name, names.index(parameter)  # type: ignore[attr-defined, unused-ignore]


def settings_table() -> list[str]:
    lines = ["| variable | default | what it does |", "|---|---|---|"]
    # what it inherits, of vLLM, comes last
    for name, field in sorted(Settings.model_fields.items(), key=lambda one: one[0] in VllmSettings.model_fields):
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


def forgotten_tables() -> list[str]:
    """Which columns an erasure looks into, by what it does, and which not, by why."""
    by_deed: dict[str, list[str]] = {}
    for column, deed in treatments().items():
        by_deed.setdefault(deed, []).append(column)
    rows = [("looked into", *pair) for pair in by_deed.items()]
    rows += [("not looked into", reason, columns) for reason, columns in NOT_LOOKED_INTO.items()]
    lines = ["| | what is done, or why not | table or column |", "|---|---|---|"]
    return [*lines, *(f"| {how} | {why} | {', '.join(f'`{name}`' for name in names)} |" for how, why, names in rows)]


def render() -> str:
    sections = {
        "Settings": settings_table(),
        "Permissions": permissions_table(),
        "Error codes": found_table("`error.code`", literals(codes(), SNAKE)),
        "Audit actions": found_table("action", literals(given_to("action"), ACTION)),
        "Where a person's words may be": forgotten_tables(),
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
