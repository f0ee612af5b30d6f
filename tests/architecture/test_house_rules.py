"""The rules that ruff, mypy and import-linter cannot see, checked on the syntax tree."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

ROOT = Path(__file__).parents[2]
MAX_LINES = 400
MAX_TEST_LINES = 600
MAX_FUNCTION_LINES = 60
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "shared"}
SQL_NAMES = {"select", "insert", "update", "delete", "text"}
# where SQL is at home besides each context's repository
SQL_HOMES = {"core/db/health.py", "core/db/migrate.py", "core/db/session.py"}
# settings of ours are read in one place; the worker package tells OpenMP, which can be told in no other way
ENVIRONMENT_HOMES = {"core/config.py", "worker/__init__.py"}
MARKER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def tracked(*patterns: str) -> list[Path]:
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return [ROOT / line for line in found.stdout.splitlines() if (ROOT / line).exists()]


PYTHON = tracked("*.py")
PACKAGES = [path for path in PYTHON if path.relative_to(ROOT).parts[0] in {"core", "api", "worker", "migrations"}]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def imports_from(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def uses_attribute(tree: ast.AST, owner: str, attributes: set[str]) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and node.attr in attributes
        and isinstance(node.value, ast.Name)
        and node.value.id == owner
        for node in ast.walk(tree)
    )


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_a_file_fits_in_one_reading(path: Path) -> None:
    limit = MAX_TEST_LINES if path.relative_to(ROOT).parts[0] == "tests" else MAX_LINES
    source = path.read_text()
    assert len(source.splitlines()) <= limit
    if path != Path(__file__):
        assert not MARKER.search(source), "unfinished work does not land: finish it or write it down in docs/"
    assert not FORBIDDEN_NAMES & {path.stem, *path.relative_to(ROOT).parts[:-1]}, "name the file after what it knows"
    for function in functions(ast.parse(source)):
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length <= MAX_FUNCTION_LINES, f"{function.name} has {length} lines"


@pytest.mark.parametrize("path", PACKAGES, ids=name_of)
def test_sql_the_environment_and_the_clock_stay_at_home(path: Path) -> None:
    name, tree = name_of(path), ast.parse(path.read_text())
    is_migration = name.startswith("migrations/")
    if path.name != "repository.py" and name not in SQL_HOMES and not is_migration:
        leaked = {imported for module, imported in imports_from(tree) if module == "sqlalchemy"} & SQL_NAMES
        assert not leaked, f"{leaked}: queries live in repository.py"
    if name not in ENVIRONMENT_HOMES and not name.startswith("core/stack/"):
        assert not uses_attribute(tree, "os", {"environ", "getenv"}), "settings come from core.config.Settings"
    if name != "core/kit/clock.py":
        assert not uses_attribute(tree, "datetime", {"now", "utcnow", "today"}), "ask core.kit.clock"


def test_the_front_end_keeps_its_files_small() -> None:
    sources = [path for path in tracked("frontend/src/*.ts", "frontend/src/*.tsx") if ".gen." not in path.name]
    long = {name_of(path): len(path.read_text().splitlines()) for path in sources}
    assert {name: lines for name, lines in long.items() if lines > MAX_LINES} == {}


def test_every_context_keeps_its_queries_private() -> None:
    """A contract per repository: import-linter's wildcards cannot say 'only its own context'."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    protected = {
        module: set(contract["allowed_importers"])
        for contract in contracts
        if contract["type"] == "protected"
        for module in contract["protected_modules"]
    }
    repositories = [path.relative_to(ROOT).with_suffix("").parts for path in (ROOT / "core").rglob("repository.py")]
    wanted = {".".join(parts): {f"core.{parts[1]}"} for parts in repositories}
    assert protected == wanted, "name each repository in the `protected` contract of its context, in pyproject.toml"


def test_the_migrations_are_one_chain() -> None:
    scripts = ScriptDirectory(str(ROOT / "migrations"))
    assert len(scripts.get_heads()) == 1


def test_every_requirement_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(name for extra in extras for name in extra)]
    lock = (ROOT / "requirements.lock").read_text()
    locked = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lock.splitlines() if "==" in line}
    named = {re.sub(r"[-_.]+", "-", re.split(r"[\[=<> ]", name)[0]).lower() for name in wanted}
    # torch is installed first, by its own pin, so that each host gets the build for its hardware
    assert named - locked - {"torch"} == set()
    assert not [line for line in lock.splitlines() if line and not line.startswith("#") and "==" not in line]
