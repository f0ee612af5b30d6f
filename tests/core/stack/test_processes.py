import stat
from pathlib import Path

from core.stack.processes import Program, spawn


def test_what_a_program_writes_is_nobody_elses_even_in_a_home_that_is_open(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    script = "mkdir runs && echo rows > runs/rows"
    child = spawn(Program("writer", ["/bin/sh", "-c", script], tmp_path / "log", {"PATH": "/bin"}, cwd=tmp_path))
    assert child.process.wait(10) == 0
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("runs", "runs/rows")]
    assert modes == [0o700, 0o600]
