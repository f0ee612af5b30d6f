"""Every format that is read: one line here, one file beside."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Final

from core.datasets.formats import csv, jsonl, plain_text, refusals
from core.datasets.formats.records import Opened
from core.datasets.types import FileFormat


@dataclass(frozen=True, slots=True)
class Format:
    endings: tuple[str, ...]
    open: Callable[[BinaryIO], Opened]
    """Raises Invalid, at once or while records are taken, at what breaks the file."""


FORMATS: Final[dict[FileFormat, Format]] = {
    FileFormat.CSV: Format((".csv",), csv.open_cells),
    FileFormat.JSONL: Format((".jsonl",), jsonl.open_objects),
    FileFormat.TXT: Format((".txt",), partial(plain_text.open_texts, is_markdown=False)),
    FileFormat.MARKDOWN: Format((".md", ".markdown"), partial(plain_text.open_texts, is_markdown=True)),
}


def open_file(stream: BinaryIO, file_format: FileFormat) -> Opened:
    return FORMATS[file_format].open(stream)


def format_of(filename: str) -> FileFormat:
    """By the name's ending. Raises Invalid for a kind that is not read."""
    for file_format, known in FORMATS.items():
        if filename.lower().endswith(known.endings):
            return file_format
    dot = filename.rfind(".")
    kind = f"A {filename[dot:]} file" if dot > 0 else "A file without an ending in its name"
    raise refusals.refuse(
        "unsupported_type",
        cause=f"{kind} cannot be read.",
        fix="Upload a .csv or .jsonl file, or plain text as .txt or .md; from Excel, choose Save as, CSV UTF-8.",
    )
