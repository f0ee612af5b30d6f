"""Word documents (.docx) to plain text: paragraphs and the cells of tables, as text files are cut into rows.

A row's number is that of its first paragraph; a table's row counts as one.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

import docx
from docx.opc.exceptions import OpcError
from docx.table import Table
from lxml import etree

from core.datasets.formats import packing, plain_text, refusals
from core.datasets.formats.records import Texts
from core.errors import Invalid

_BROKEN: Final = (
    *(OpcError, zipfile.BadZipFile, zlib.error, etree.LxmlError, KeyError, ValueError, AttributeError, OSError),
    *(EOFError, IndexError, TypeError, NotImplementedError, RuntimeError),
)
# python-docx holds the whole document
_MAX_UNPACKED_BYTES: Final = 128 * 1024**2


def open_texts(stream: BinaryIO) -> Texts:
    file = packing.on_disk(stream)
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(info.file_size for info in archive.infolist()) > _MAX_UNPACKED_BYTES:
                raise refusals.refuse(
                    "unpacked_too_large",
                    cause=f"Unpacked, the document has more than {_MAX_UNPACKED_BYTES:,} bytes.",
                    fix="Remove its pictures, or save it as text (.txt).",
                )
        file.seek(0)
        lines = list(_lines(docx.Document(file)))
    except Invalid:
        raise
    except _BROKEN as error:
        raise refusals.refuse(
            "docx_broken",
            cause=f"The document cannot be read ({refusals.quoted(str(error))}).",
            fix="Open it, save it again as .docx or as text (.txt), then upload that file.",
        ) from error
    text = io.BytesIO("".join(lines).encode("utf-8", "ignore"))
    found = plain_text.open_texts(text, is_markdown=True)
    return Texts(found.records, found.num_bytes_read)


def _lines(document: docx.document.Document) -> Iterator[str]:
    """Paragraphs with a blank line after each, headings as Markdown has them: a line each, so that rows count them."""
    for block in document.iter_inner_content():
        if isinstance(block, Table):
            for row in block.rows:
                yield "\t".join(" ".join(cell.text.split()) for cell in row.cells) + "\n"
            continue
        text = " ".join(block.text.replace("\0", "").split())
        is_heading = text and (block.style is not None) and (block.style.name or "").startswith(("Heading", "Title"))
        yield f"# {text}\n" if is_heading else f"{text}\n"
