"""What the process that reads a stranger's adapter is told, and what it tells: files in its folder."""

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from core.model_imports.lineage import BaseEvidence, ExportOrigin
from core.training.methods import Quantization

SPEC: Final = "spec.json"
EVENTS: Final = "events.jsonl"
ADAPTER: Final = "adapter"
"""The folder with what is to be published."""
REPORT: Final = "report.json"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GivenFile(_Value):
    name: str = Field(description="As its owner calls it; nothing is written under it.")
    path: Path


class ImportSpec(_Value):
    base_model: str
    base_model_dir: Path
    files: tuple[GivenFile, ...]
    is_base_confirmed: bool
    quantization: Quantization | None
    num_threads: int = Field(2, ge=1, le=1024)


class ImportReport(_Value):
    method: str
    quantization: Quantization | None
    config_sha256: str
    weights_sha256: str
    base_evidence: BaseEvidence
    named_base: str | None
    export: ExportOrigin | None
