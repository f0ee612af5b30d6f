"""An import as its services hand it around."""

from dataclasses import dataclass

from core.adapters.models import Adapter
from core.jobs.models import Job
from core.jobs.waits import Wait
from core.model_imports.models import ModelImport


@dataclass(frozen=True, slots=True)
class ImportDetails:
    record: ModelImport
    job: Job
    adapter: Adapter | None
    """What came of it."""
    wait: Wait | None = None
    """What it waits for, if it does."""
