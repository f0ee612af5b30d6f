"""The process that takes the first look: what it answers, and how it ends."""

import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from core.datasets.reading import service
from core.datasets.reading.confinement import Limits
from core.datasets.reading.service import inspect_apart
from core.datasets.types import FileFormat
from core.errors import Invalid
from tests.assets.bad_files import GOOD_CSV
from tests.factories.workbooks import xlsx, zipped

ROOT = Path(__file__).parents[3]


def test_a_file_and_a_stream_are_answered_alike(tmp_path: Path) -> None:
    for content, filename in ((GOOD_CSV, "t.csv"), (zipped({"t.csv": GOOD_CSV}), "t.zip")):
        (tmp_path / filename).write_bytes(content)
        with (tmp_path / filename).open("rb") as file:
            found = inspect_apart(file, filename)
        assert (found.format, found.num_rows) == (FileFormat.CSV, 12)
        assert inspect_apart(io.BytesIO(content), filename, directory=tmp_path) == found


def test_a_refusal_keeps_its_code_and_place() -> None:
    with pytest.raises(Invalid) as refused:
        inspect_apart(io.BytesIO(GOOD_CSV + b"a\0b,c\n"), "t.csv")
    assert (refused.value.error_code, refused.value.details["row"], refused.value.param) == (
        "file_not_text",
        14,
        "file",
    )


def test_of_a_stream_no_more_is_taken_than_is_wanted() -> None:
    stream = io.BytesIO(GOOD_CSV + b"a\0b,c\n" * 2 + b"x,y\n" * 20_000_000)
    with pytest.raises(Invalid):
        inspect_apart(stream, "t.csv")
    assert stream.tell() < 40_000_000


@pytest.mark.parametrize("limits", [Limits(max_cpu_s=1), Limits(max_wall_s=1)], ids=["computing", "waiting"])
def test_what_takes_too_long_is_refused_in_time(
    limits: Limits, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(service, "_LIMITS", {True: limits})
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        file.write(b"question,answer\n" + b"What is this?,A story.\n" * 12_000_000)
        file.flush()
        with pytest.raises(Invalid) as refused:
            inspect_apart(file, "t.csv", reads_all=True)
    assert (refused.value.error_code, "too long" in refused.value.message) == ("file_too_complex", True)


def test_what_takes_too_much_memory_is_refused() -> None:
    """A sheet whose second cell is in its last row and column, so that it has seventeen billion."""
    rows = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    sheet = f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>'
    with pytest.raises(Invalid) as refused:
        inspect_apart(io.BytesIO(xlsx({"T": []}, extra={"xl/worksheets/sheet1.xml": sheet})), "t.xlsx")
    assert (refused.value.error_code, "memory" in refused.value.message) == ("file_too_complex", True)


def test_it_has_no_network_no_programs_and_no_secret() -> None:
    tried = """
import json, os, socket, subprocess, sys
from core.datasets.reading.confinement import Limits, confine
confine(Limits())
found = {}
for name, attempt in {
    "socket": lambda: socket.create_connection(("127.0.0.1", 1)),
    "program": lambda: subprocess.run(["true"]),
    "fork": os.fork,
}.items():
    try:
        attempt()
    except BaseException as error:
        found[name] = type(error).__name__
print(json.dumps(found))
"""
    done = subprocess.run([sys.executable, "-c", tried], cwd=ROOT, capture_output=True, check=True, env=os.environ)
    assert json.loads(done.stdout) == dict.fromkeys(("socket", "program", "fork"), "PermissionError")


def test_it_starts_without_what_only_some_formats_need() -> None:
    loaded = "import sys, core.datasets.reading.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, check=True, text=True)
    heavy = {"torch", "pyarrow", "python_calamine", "pypdf", "docx", "sqlalchemy", "boto3", "charset_normalizer"}
    assert not heavy & set(done.stdout.split())
