import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_reference_is_current() -> None:
    command = [sys.executable, "docs/generate.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_committed_openapi_is_what_the_code_says() -> None:
    done = subprocess.run([sys.executable, "-m", "api.openapi"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    committed = (ROOT / "frontend" / "openapi.json").read_text()
    assert done.stdout == committed, "run `make openapi` and commit frontend/openapi.json"
