"""With which sheet and which columns a file is read: as somebody says, as the workspace did before, or as it looks."""

from sqlalchemy.orm import Session

from core.datasets import columns, files, remembered
from core.datasets.formats import registry
from core.datasets.models import File
from core.datasets.types import Inspection, Mapping, RowKind
from core.errors import Invalid
from core.workspaces.principal import Principal


def inspected(file: File, wanted: Mapping | None, seen: Inspection | None) -> Inspection:
    """What was found on the sheet that is to be read.

    `seen` is what `preview.of_sheet` found, if that is another than was looked at when the file came.
    """
    first = files.inspection_of(file)
    if wanted is None or is_of_sheet(first, wanted.sheet):
        return first
    registry.refuse_sheet(wanted.sheet, first.format)
    if seen is None or seen.sheet != wanted.sheet:
        raise RuntimeError("look at the sheet first: preview.of_sheet")
    return seen


def is_of_sheet(inspection: Inspection, sheet: str | None) -> bool:
    return sheet in {None, inspection.sheet}


def checked(session: Session, *, workspace_id: str, found: Inspection, wanted: Mapping | None) -> Mapping | None:
    """The mapping to read with: the wanted one if it fits, else the remembered or the suggested one.

    It says which sheet, where there are several.
    """
    names = [column.name for column in found.columns]
    _, said = (None, None) if wanted is None else wanted.apart()
    if said is not None:
        columns.refuse_unfit_mapping(said, names)
        return said.in_sheet(found.chosen_sheet)
    proposed = _proposed(session, workspace_id, found)
    if names and proposed is None:
        raise Invalid(
            "It is not clear what the columns are. Choose which is which.",
            code="mapping_needed",
            param="mapping",
            details={"columns": names},
        )
    if proposed is None:
        return None if found.chosen_sheet is None else Mapping(sheet=found.chosen_sheet)
    return proposed.in_sheet(found.chosen_sheet)


def kind_of(found: Inspection, mapping: Mapping | None) -> RowKind:
    """Of the rows that are read so."""
    _, said = (None, None) if mapping is None else mapping.apart()
    return found.kind if said is None else said.kind


def remember(session: Session, *, principal: Principal, found: Inspection, wanted: Mapping | None) -> None:
    """Columns that somebody chose, unless they are what would be proposed anyway; on whatever sheet they come again."""
    _, said = (None, None) if wanted is None else wanted.apart()
    proposed = _proposed(session, principal.workspace_id, found)
    if said is None or said == (None if proposed is None else proposed.in_sheet(None)):
        return
    names = [column.name for column in found.columns]
    remembered.remember(session, principal=principal, columns=names, mapping=said)


def _proposed(session: Session, workspace_id: str, found: Inspection) -> Mapping | None:
    names = [column.name for column in found.columns]
    known = remembered.recall(session, workspace_id=workspace_id, columns=names) if names else None
    return found.mapping if known is None else Mapping.model_validate(known.mapping)
