"""An export as its services hand it around."""

from dataclasses import dataclass
from typing import Any

from core.adapters.models import Adapter
from core.datasets.types import RowKind
from core.exports.forms import ModelExportFormat
from core.exports.models import ModelExport
from core.jobs.models import Job
from core.jobs.waits import Wait


@dataclass(frozen=True, slots=True)
class ExportDetails:
    export: ModelExport
    adapter: Adapter
    job: Job
    wait: Wait | None = None
    """What it waits for, if it does."""


@dataclass(frozen=True, slots=True)
class ExportWork:
    """All that a worker needs to know of an export, without a session."""

    export_id: str
    export_format: ModelExportFormat
    adapter: Adapter
    row_kind: RowKind | None
    """Of the examples it was measured with; none for a model that was not trained here."""
    told: dict[str, Any]
    """What the database knows of where the model comes from, for the manifest and the card."""
