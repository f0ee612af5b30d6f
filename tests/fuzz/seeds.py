"""A small whole file of each format, to be bent."""

import gzip
import io
import json
from typing import Final

import docx
import pyarrow as pa
import zstandard
from pyarrow import parquet

from core.datasets.types import FileFormat
from tests.assets.bad_files import GOOD_CSV, GOOD_JSONL
from tests.factories.documents import pdf
from tests.factories.workbooks import ods, xlsx, zipped

_ROWS: Final = [["question", "answer"], *([f"What is {number}?", number] for number in range(12))]
_TEXT: Final = ("Whoever works on a holiday chooses another day. " * 25 + "\n\n").encode() * 12


def _parquet() -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pa.table({"question": ["Why?"] * 12, "answer": ["Because."] * 12}), stream)
    return stream.getvalue()


def _docx() -> bytes:
    document, stream = docx.Document(), io.BytesIO()
    for number in range(12):
        document.add_paragraph(f"{number} " + "Whoever works on a holiday chooses another day. " * 45)
    document.save(stream)
    return stream.getvalue()


def _packed(content: bytes) -> list[bytes]:
    return [content, gzip.compress(content), zstandard.compress(content), zipped({"a.csv": content})]


SEEDS: Final[dict[FileFormat, list[bytes]]] = {
    FileFormat.CSV: [*_packed(GOOD_CSV), GOOD_CSV.decode().encode("utf-16"), "é,ü\n".encode("cp1252") * 12],
    FileFormat.TSV: [GOOD_CSV.replace(b",", b"\t")],
    FileFormat.JSONL: _packed(GOOD_JSONL),
    FileFormat.JSON: [json.dumps({"v": 1, "rows": [json.loads(line) for line in GOOD_JSONL.splitlines()]}).encode()],
    FileFormat.XLSX: [xlsx({"Tickets": _ROWS})],
    FileFormat.XLS: [xlsx({"Tickets": _ROWS})],
    FileFormat.ODS: [ods(_ROWS)],
    FileFormat.PARQUET: [_parquet()],
    FileFormat.TXT: [_TEXT],
    FileFormat.MARKDOWN: [b"# A\n\n" + _TEXT],
    FileFormat.PDF: [pdf([f"Page {number}." for number in range(12)])],
    FileFormat.DOCX: [_docx()],
}
