"""vLLM's Python for tests: the real one of `make test-vllm`, or one whose `vllm` is tests/assets/fake_vllm."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def real_python() -> Path:
    return Path(os.environ.get("TAILORBIRD_VLLM_PYTHON", ROOT / ".vllm" / "bin" / "python"))


def fake_python(folder: Path) -> Path:
    program = folder / "python"
    paths = f"{ROOT / 'tests' / 'assets' / 'fake_vllm'}:{ROOT}"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{paths}" exec "{sys.executable}" "$@"\n')
    program.chmod(0o755)
    return program
