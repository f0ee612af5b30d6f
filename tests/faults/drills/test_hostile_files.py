"""Files that mean harm, sent to the API as a process of its own, beside honest questions."""

import contextlib
import gzip
import io
import statistics
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from core.datasets.formats.refusals import MAX_ROWS
from core.datasets.types import FileFormat
from core.jobs.exit_codes import ExitCode
from tests.assets.bad_files import GOOD_CSV, GOOD_JSONL
from tests.factories.ingest import IngestFolder
from tests.factories.workbooks import xlsx, zipped
from tests.faults.arena import Arena
from tests.faults.recording import Record

MIB = 1024 * 1024
CAP_BYTES = 128 * MIB
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
Files = dict[str, tuple[str, Callable[[], bytes]]]


def zeros(num_bytes: int) -> bytes:
    """Packed by gzip; made without ever being held."""
    packer, block = zlib.compressobj(9, wbits=31), b"\0" * MIB
    return b"".join([*(packer.compress(block) for _ in range(num_bytes // MIB)), packer.flush()])


def nested(depth: int) -> bytes:
    content = zipped({"a.csv": GOOD_CSV})
    for _ in range(depth):
        content = zipped({f"{number}.zip": content for number in range(4)})
    return content


def with_link() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        link = zipfile.ZipInfo("a.csv")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return stream.getvalue()


def laughs() -> bytes:
    entities = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(12))
    sheet = (
        f'<!DOCTYPE x [<!ENTITY l0 "ha">{entities}]><worksheet xmlns="{MAIN}"><sheetData><row r="1">'
        '<c r="A1" t="inlineStr"><is><t>&l12;</t></is></c></row></sheetData></worksheet>'
    )
    return xlsx({"T": []}, extra={"xl/worksheets/sheet1.xml": sheet})


def far_cell() -> bytes:
    rows = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    sheet = f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
    return xlsx({"T": []}, extra={"xl/worksheets/sheet1.xml": sheet})


def huge_sheet() -> bytes:
    """A text of 2 GB in one cell, in two megabytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(xlsx({"T": []}))) as whole, zipfile.ZipFile(stream, "w", 8) as archive:
        for name in whole.namelist():
            if "sheet1" not in name:
                archive.writestr(name, whole.read(name))
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            begin = f'<worksheet xmlns="{MAIN}"><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>'
            sheet.write(begin.encode())
            for _ in range(2000):
                sheet.write(b"x" * MIB)
            sheet.write(b"</t></is></c></row></sheetData></worksheet>")
    return stream.getvalue()


def parquet(*, forged: bool) -> bytes:
    """A column of one value a million times: a few kilobytes; forged, its counts lie."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    stream = io.BytesIO()
    text = pa.array(["x" * MIB]).dictionary_encode()
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), text.dictionary)
    pq.write_table(pa.table({"question": column, "answer": column}), stream)
    content = bytearray(stream.getvalue())
    if forged:
        footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
        for place in range(4, footer, 7):
            content[place] ^= 0x55
    return bytes(content)


BOMBS: Files = {
    "gzip of 10 GB of zeros": ("t.csv.gz", lambda: zeros(10_000 * MIB)),
    "gzip of 1 GB of zeros in gzip": ("t.csv.gz", lambda: gzip.compress(zeros(1000 * MIB))),
    "a nested archive": ("t.zip", lambda: nested(5)),
    "an archive with a link": ("t.zip", with_link),
    "an archive with a way out": ("t.zip", lambda: zipped({"../../etc/a.csv": GOOD_CSV})),
    "a workbook of a billion laughs": ("t.xlsx", laughs),
    "a workbook with a cell far away": ("t.xlsx", far_cell),
    "a workbook with a text of 2 GB": ("t.xlsx", huge_sheet),
    "a Parquet file with counts that lie": ("t.parquet", lambda: parquet(forged=True)),
}
LINES: Files = {
    "JSON nested 100,000 deep": ("t.jsonl", lambda: GOOD_JSONL + b'{"a":' + b"[" * 100_000 + b"\n"),
    "100 MB of [": ("t.jsonl", lambda: b"[" * (100 * MIB)),
    "100 MB of [ as one document": ("t.json", lambda: b"[" * (100 * MIB)),
    "broken UTF-8": ("t.jsonl", lambda: GOOD_JSONL + b'{"question": "\xc3\xa9 \xff", "answer": "b"}\n'),
    "a zero byte": ("t.csv", lambda: GOOD_CSV + b"a\0b,c\n"),
    "one line of 120 MB": ("t.jsonl", lambda: GOOD_JSONL + b'{"question": "' + b"x" * (120 * MIB)),
}
QUICK = {"an archive with a link", "a workbook with a cell far away", "a workbook of a billion laughs", *LINES}


class Watched:
    """The API's process and the one that reads: their memory, the disk, and how honest questions fare."""

    def __init__(self, address: str, key: str, pid: int, disk: Path) -> None:
        self.honest_s: list[float] = []
        self.api_bytes = self.reader_bytes = self.disk_bytes = 0
        self._address, self._headers, self._disk = address, {"authorization": f"Bearer {key}"}, disk
        self._process = psutil.Process(pid)
        self._is_over = threading.Event()
        self.before_bytes = self._process.memory_info().rss

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._ask), threading.Thread(target=self._look)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._address, headers=self._headers, timeout=30) as client:
            while not self._is_over.wait(0.05):
                began = time.monotonic()
                assert client.get("/v1/files?limit=1").status_code == 200
                self.honest_s.append(time.monotonic() - began)

    def _look(self) -> None:
        while not self._is_over.wait(0.02):
            self.api_bytes = max(self.api_bytes, self._process.memory_info().rss)
            for child in self._process.children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    self.reader_bytes = max(self.reader_bytes, child.memory_info().rss)
                    self.disk_bytes = max(self.disk_bytes, _open_bytes(child.pid))


def _open_bytes(pid: int) -> int:
    """Of the nameless files that it holds: what it was given, and what it made of that."""
    total = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(link.readlink()).endswith("(deleted)"):
                total += link.stat().st_size
    return total


def send(arena: Arena, files: Files, names: set[str], record_figure: Record) -> list[httpx.Response]:
    disk = Path(tempfile.mkdtemp(dir=arena.home))
    address = arena.api_process(is_direct=True, max_upload_bytes=CAP_BYTES, home=disk)
    key = arena.api_key()
    answers, slowest_s = [], 0.0
    with httpx.Client(base_url=address, headers={"authorization": f"Bearer {key}"}, timeout=60) as client:
        assert client.post("/v1/files", files={"file": ("t.csv", GOOD_CSV)}).status_code == 200
        watched = Watched(address, key, arena.api_pids[-1], disk)
        with watched.watching():
            for name, (filename, content) in files.items():
                if name not in names:
                    continue
                body, began = content(), time.monotonic()
                answer = client.post("/v1/files", files={"file": (filename, body)})
                seconds = time.monotonic() - began
                slowest_s = max(slowest_s, seconds)
                assert 400 <= answer.status_code < 500, (name, answer.text)
                assert seconds < 10, name
                answers.append(answer)
    p99_s = statistics.quantiles(watched.honest_s, n=100)[98]
    record_figure("slowest_answer_s", round(slowest_s, 1), times=len(answers))
    record_figure("honest_p99_ms", round(1000 * p99_s))
    record_figure("reader_rss_mib", round(watched.reader_bytes / MIB))
    record_figure("api_growth_mib", round((watched.api_bytes - watched.before_bytes) / MIB))
    record_figure("disk_mib", round(watched.disk_bytes / MIB))
    assert watched.reader_bytes <= 1024 * MIB
    assert watched.api_bytes - watched.before_bytes < 50 * MIB
    assert watched.disk_bytes < 2 * max(CAP_BYTES, 512 * MIB)
    assert p99_s < 0.5
    return answers


@pytest.mark.drill(34)
def test_a_few_bombs_are_refused(arena: Arena, record_figure: Record) -> None:
    assert len(send(arena, BOMBS, QUICK, record_figure)) == 3


@pytest.mark.drill(34)
def test_bombs_are_refused_in_time_and_within_their_limits(arena: Arena, record_figure: Record) -> None:
    assert len(send(arena, BOMBS, set(BOMBS), record_figure)) == len(BOMBS)


@pytest.mark.drill(35)
def test_texts_that_break_every_rule_are_refused_with_the_line(arena: Arena, record_figure: Record) -> None:
    answers = send(arena, LINES, set(LINES), record_figure)
    assert [answer.json()["error"]["details"]["row"] for answer in answers] == [13, 1, 1, 13, 14, 13]


@pytest.mark.drill(35)
def test_ten_million_tiny_lines_are_refused_with_the_first_too_many(tmp_path: Path, record_figure: Record) -> None:
    folder = IngestFolder(tmp_path)
    content = b'{"text":"a"}\n' * 10_000_000
    assert folder.ingest(content, format=FileFormat.JSONL, mapping=None) is ExitCode.USER_ERROR
    [error] = [event for event in folder.events if event["type"] == "error"]
    assert (error["code"], error["details"]["row"]) == ("too_many_rows", MAX_ROWS + 1)
    record_figure("lines", 10_000_000)
