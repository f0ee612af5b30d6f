"""Every format that is read: one line here, one file beside, which is loaded when it is needed."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from core.datasets.formats import packing, refusals
from core.datasets.formats.records import Opened
from core.datasets.types import FileFormat
from core.errors import Invalid

if TYPE_CHECKING:
    from core.datasets.formats.workbook import Book

_READABLE: Final = (
    "a table as .xlsx, .ods, .csv, .tsv, .json, .jsonl or .parquet, or a text as .txt, .md, .docx or .pdf"
)


@dataclass(frozen=True, slots=True)
class Format:
    endings: tuple[str, ...]
    module: str
    """Of `core.datasets.formats`; what it imports may take a while, or megabytes."""
    function: str
    options: dict[str, Any] = field(default_factory=dict)

    def open(self, stream: BinaryIO, **options: Any) -> Opened:  # noqa: ANN401 - the reader's own
        """Raises Invalid, at once or while records are taken, at what breaks the file."""
        module = importlib.import_module(f"core.datasets.formats.{self.module}")
        reader = cast("Callable[..., Opened]", getattr(module, self.function))
        return reader(stream, **self.options, **options)


FORMATS: Final[dict[FileFormat, Format]] = {
    FileFormat.CSV: Format((".csv",), "csv", "open_cells"),
    FileFormat.TSV: Format((".tsv", ".tab"), "csv", "open_cells", {"delimiters": "\t"}),
    FileFormat.JSONL: Format((".jsonl", ".ndjson"), "jsonl", "open_objects"),
    FileFormat.JSON: Format((".json",), "json_list", "open_objects"),
    FileFormat.XLSX: Format((".xlsx", ".xlsm"), "workbook", "open_cells"),
    FileFormat.XLS: Format((".xls",), "workbook", "open_cells"),
    FileFormat.ODS: Format((".ods",), "workbook", "open_cells"),
    FileFormat.PARQUET: Format((".parquet",), "parquet", "open_objects"),
    FileFormat.TXT: Format((".txt",), "plain_text", "open_texts", {"is_markdown": False}),
    FileFormat.MARKDOWN: Format((".md", ".markdown"), "plain_text", "open_texts", {"is_markdown": True}),
    FileFormat.PDF: Format((".pdf",), "pdf", "open_texts"),
    FileFormat.DOCX: Format((".docx",), "docx", "open_texts"),
}
_OF_LINES: Final = frozenset({FileFormat.CSV, FileFormat.TSV, FileFormat.JSONL, FileFormat.TXT, FileFormat.MARKDOWN})
_ENDINGS: Final = tuple(ending for known in FORMATS.values() for ending in known.endings)


def open_file(stream: BinaryIO, file_format: FileFormat, *, sheet: str | None = None) -> Opened:
    """Packed or not. `sheet` is that of a workbook; without one, the first that holds something."""
    refuse_sheet(sheet, file_format)
    options = {} if sheet is None else {"sheet": sheet}
    return FORMATS[file_format].open(packing.unpacked(stream, _ENDINGS), **options)


def open_book(stream: BinaryIO, file_format: FileFormat) -> "Book | None":
    """The workbook, packed or not, for who is to choose a sheet; None of a file that has no sheets."""
    if not has_sheets(file_format):
        return None
    workbook = importlib.import_module("core.datasets.formats.workbook")
    return cast("Book", workbook.Book(packing.unpacked(stream, _ENDINGS)))


def has_sheets(file_format: FileFormat) -> bool:
    return FORMATS[file_format].module == "workbook"


def refuse_sheet(sheet: str | None, file_format: FileFormat) -> None:
    """Raise Invalid for a sheet of a file that has none."""
    if sheet is not None and not has_sheets(file_format):
        raise Invalid(
            f"A .{file_format} file has no sheets, so there is none to choose. Leave `sheet` out.",
            code="sheet_not_needed",
            param="mapping.sheet",
        )


def refuse_unread(filename: str) -> None:
    """Raise Invalid for a name that says that the file is of no kind that is read."""
    if not filename.lower().endswith(".zip"):
        format_of(filename)


def format_of(filename: str) -> FileFormat:
    """By the name's ending, that of what is packed. Raises Invalid for a kind that is not read."""
    name = packing.without_ending(filename)
    for file_format, known in FORMATS.items():
        if name.lower().endswith(known.endings):
            return file_format
    dot = name.rfind(".")
    kind = f"A {name[dot:]} file" if dot > 0 else "A file without an ending in its name"
    raise refusals.refuse(
        "unsupported_type",
        cause=f"{kind} cannot be read.",
        fix=f"Upload {_READABLE}, packed or not.",
    )


def told_apart(stream: BinaryIO, filename: str) -> tuple[BinaryIO, FileFormat]:
    """As `format_of`; of an archive whose name does not tell, by the name of what is in it."""
    if filename.lower().endswith(".zip") and not packing.without_ending(filename).lower().endswith(_ENDINGS):
        file = packing.on_disk(stream)
        found = format_of(packing.member_name(file, _ENDINGS))
        file.seek(0)
        return file, found
    return stream, format_of(filename)


def is_of_lines(filename: str) -> bool:
    """Whether it is a text whose lines are all shorter than a record, as it arrives."""
    endings = tuple(ending for file_format in _OF_LINES for ending in FORMATS[file_format].endings)
    return filename.lower().endswith(endings)
