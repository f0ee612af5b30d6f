"""Workbooks as spreadsheet programs write them, small and by hand, for no library of ours writes any."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/xl/workbook.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>'
)
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"

Row = Sequence[str | float | None]

NOTES: list[Row] = [["About this workbook"], ["The tickets are on the second sheet."], ["Ask Kim."]]
TICKETS: list[Row] = [["question", "answer"], *([f"What is {number}?", f"Ticket {number}"] for number in range(12))]
MAILS: list[Row] = [["asked", "told", "by"], *([f"Is it {number}?", f"Mail {number}", "Kim"] for number in range(15))]
PREFERRED: list[Row] = [["prompt", "chosen", "rejected"], *([f"Is it {n}?", "Yes.", "No."] for n in range(11))]
BOOK: dict[str, list[Row]] = {"Read me": NOTES, "Tickets": TICKETS, "Mails": MAILS, "Better": PREFERRED, "Empty": []}


def xlsx(sheets: Mapping[str, Sequence[Row]], *, hidden: Sequence[str] = (), extra: Mapping[str, str] = {}) -> bytes:
    """Rows by the sheet's name; a cell that is None is not there. `extra` are parts that take the place of ours."""
    names = list(sheets)
    state = {name: ' state="hidden"' if name in hidden else "" for name in names}
    parts = {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r0" Type="{_OFFICE}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
        + "".join(
            f'<sheet name={quoteattr(name)} sheetId="{number}" r:id="r{number}"{state[name]}/>'
            for number, name in enumerate(names, start=1)
        )
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_RELATIONS}">'
        + "".join(
            f'<Relationship Id="r{number}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{number}.xml"/>'
            for number in range(1, len(names) + 1)
        )
        + "</Relationships>",
    }
    for number, name in enumerate(names, start=1):
        parts[f"xl/worksheets/sheet{number}.xml"] = _sheet(sheets[name])
    return zipped(parts | dict(extra))


def ods(rows: Sequence[Row]) -> bytes:
    office = "urn:oasis:names:tc:opendocument:xmlns"
    cells = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{escape(str(cell))}</text:p></table:table-cell>'
            if cell is not None
            else "<table:table-cell/>"
            for cell in row
        )
        + "</table:table-row>"
        for row in rows
    )
    return zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "META-INF/manifest.xml": f'<manifest:manifest xmlns:manifest="{office}:manifest:1.0"/>',
            "content.xml": f'<office:document-content xmlns:office="{office}:office:1.0" '
            f'xmlns:table="{office}:table:1.0" xmlns:text="{office}:text:1.0"><office:body><office:spreadsheet>'
            f'<table:table table:name="Tickets">{cells}</table:table></office:spreadsheet></office:body>'
            "</office:document-content>",
        }
    )


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _sheet(rows: Sequence[Row]) -> str:
    written = []
    for number, row in enumerate(rows, start=1):
        cells = "".join(_cell(f"{_letters(index)}{number}", cell) for index, cell in enumerate(row) if cell is not None)
        if cells:
            written.append(f'<row r="{number}">{cells}</row>')
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(written)}</sheetData></worksheet>'


def _cell(place: str, value: str | float) -> str:
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
    return f'<c r="{place}"><v>{value}</v></c>'


def _letters(index: int) -> str:
    return chr(ord("A") + index)
