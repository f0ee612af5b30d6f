"""Why a file is refused as a whole: one place for the sentences, so that upload and ingest tell the same story."""

from core.datasets.types import RowKind
from core.errors import Invalid

MAX_RECORD_BYTES = 1024 * 1024
MIN_ROWS = 10
MAX_ROWS = 1_000_000
MAX_COLUMNS = 200

_QUOTED_CHARS = 60


def refuse(
    code: str, *, cause: str, fix: str, row: int | None = None, column: str | None = None, lead: str = ""
) -> Invalid:
    """The error to raise. `row` and `column` say where, `cause` what, `fix` what to do; `lead` is said before all."""
    place = "" if row is None else f"Row {row}: " if column is None else f"Row {row}, column {column}: "
    return Invalid(
        f"{lead}{place}{cause} {fix}",
        code=code,
        param="file",
        details={"row": row, "column": column, "cause": cause, "fix": fix},
    )


def quoted(text: str) -> str:
    """A short quotation of what stands in the file, safe inside a sentence."""
    line = " ".join(text.split())
    return f'"{line[:_QUOTED_CHARS]}…"' if len(line) > _QUOTED_CHARS else f'"{line}"'


def file_empty() -> Invalid:
    return refuse(
        "file_empty",
        cause="The file is empty.",
        fix="Choose a file with a row of column names and at least 10 examples.",
    )


def line_too_long(row: int) -> Invalid:
    return refuse(
        "line_too_long",
        row=row,
        cause="This row is longer than 1 MiB.",
        fix="Check that the file has line breaks and that every quotation mark is closed; if it is meant, shorten it.",
    )


def not_text(row: int) -> Invalid:
    return refuse(
        "file_not_text",
        row=row,
        cause="There is a zero byte, which no text has; this is not a text file.",
        fix="Export the data as CSV (UTF-8) or JSONL and upload that.",
    )


def binary(kind: str, fix: str) -> Invalid:
    return refuse("file_not_text", row=1, cause=f"This is {kind}, whatever its name says.", fix=fix)


def not_utf8(row: int, detail: str) -> Invalid:
    return refuse(
        "file_not_utf8",
        row=row,
        cause=f"The text is not UTF-8: {detail}.",
        fix='Save the file again with the encoding UTF-8; in Excel: Save as, "CSV UTF-8".',
    )


def too_many_columns(row: int, num_columns: int) -> Invalid:
    return refuse(
        "too_many_columns",
        row=row,
        cause=f"There are {num_columns} columns; at most {MAX_COLUMNS} are read.",
        fix="Delete the columns that are neither questions nor answers.",
    )


def too_few_rows(num_rows: int, kind: RowKind) -> Invalid:
    if kind is RowKind.TEXT:
        return refuse(
            "too_few_rows",
            cause=f"The text makes {num_rows} row{'' if num_rows == 1 else 's'}; a model needs at least {MIN_ROWS}.",
            fix="Add more text: a paragraph of a thousand characters, or several shorter ones, make a row.",
        )
    return refuse(
        "too_few_rows",
        cause=f"There {'is 1 example' if num_rows == 1 else f'are {num_rows} examples'}; a model needs at least "
        f"{MIN_ROWS}.",
        fix="Add more examples; a few hundred make a good start.",
    )


def too_many_rows(row: int) -> Invalid:
    return refuse(
        "too_many_rows",
        row=row,
        cause=f"The file has more than {MAX_ROWS:,} rows.",
        fix="Split it, or choose the best examples: more are rarely better.",
    )
