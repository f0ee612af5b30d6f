"""The child process of an ingest, called in this one: a folder in, a folder out."""

import json
from pathlib import Path
from typing import Any

from core.datasets.ingest_files import IngestedRow, IngestReport, IngestSpec
from core.datasets.types import FileFormat, Mapping
from core.jobs.exit_codes import ExitCode
from worker.ingest.run import run

QUESTION_AND_ANSWER = Mapping(question="question", answer="answer", system=None)


class IngestFolder:
    """The run folder of an ingest, with the child called in this process."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ingest(self, content: bytes, **changes: object) -> ExitCode:
        values: dict[str, Any] = {
            "format": FileFormat.CSV,
            "mapping": QUESTION_AND_ANSWER,
            "tokenizer_dir": None,
            "max_row_tokens": 100,
            **changes,
        }
        (self.path / "file").write_bytes(content)
        (self.path / "spec.json").write_text(IngestSpec(**values).model_dump_json())
        return run(self.path)

    @property
    def rows(self) -> list[IngestedRow]:
        lines = (self.path / "rows.jsonl").read_text().splitlines()
        return [IngestedRow.model_validate_json(line) for line in lines]

    @property
    def report(self) -> IngestReport:
        return IngestReport.model_validate_json((self.path / "report.json").read_bytes())

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / "events.jsonl").read_text().splitlines()]
