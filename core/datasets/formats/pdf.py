"""PDF to plain text: what a page says is a row, and its number is the page's."""

import logging
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, Final, cast

from pypdf import PdfReader
from pypdf.errors import FileNotDecryptedError, PyPdfError

from core.datasets.formats import packing, refusals
from core.datasets.formats.records import TextRecord, Texts
from core.datasets.formats.refusals import MAX_RECORD_BYTES, MAX_ROWS
from core.errors import Invalid

# what pypdf raises for damaged files, beside errors of its own
_BROKEN: Final = (
    *(PyPdfError, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, OSError),
    RecursionError,
)


def open_texts(stream: BinaryIO) -> Texts:
    # it warns of every fault that it could mend
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    file = packing.on_disk(stream)
    pages = _Pages(file)
    return Texts(pages.read(), lambda: pages.num_chars)


class _Pages:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.num_chars = 0

    def read(self) -> Iterator[TextRecord]:
        number = 0
        try:
            reader = PdfReader(cast("IO[Any]", self._file), strict=False)
            for number, page in enumerate(reader.pages, start=1):
                if number > MAX_ROWS:
                    raise refusals.too_many_rows(number)
                text = page.extract_text().replace("\0", "").encode("utf-8", "ignore").decode()
                if len(text) > MAX_RECORD_BYTES:
                    raise refusals.line_too_long(number)
                self.num_chars += len(text)
                if text.strip():
                    yield TextRecord(number, text)
        except Invalid:
            raise
        except FileNotDecryptedError as error:
            raise _broken("it is protected by a password", None, "Save it without a password.") from error
        except _BROKEN as error:
            fix = "Save it again as PDF, or as text, and upload that."
            raise _broken(refusals.quoted(str(error)), number + 1, fix) from error
        if number and not self.num_chars:
            raise refusals.refuse(
                "pdf_without_text",
                cause="The pages hold pictures of text and no text, as a scanner makes them.",
                fix="Let a program with text recognition (OCR) read it, and upload what it writes.",
            )


def _broken(reason: str, page: int | None, fix: str) -> Invalid:
    return refusals.refuse("pdf_broken", row=page, cause=f"The PDF cannot be read: {reason}.", fix=fix)
