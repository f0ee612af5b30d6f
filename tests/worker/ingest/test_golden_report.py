"""The whole health report of one dirty file, against one that was read line by line and found right.

Whoever changes it on purpose writes the new one (`python -m tests.worker.ingest.test_golden_report`) and reads it.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from core.jobs.exit_codes import ExitCode
from tests.factories.ingest import IngestFolder

GOLDENS = Path(__file__).parents[2] / "assets" / "goldens"
EXPECTED = GOLDENS / "dirty.health.json"


def report_of(path: Path) -> dict[str, Any]:
    folder = IngestFolder(path)
    assert folder.ingest((GOLDENS / "dirty.csv").read_bytes()) is ExitCode.DONE
    report = folder.report
    return {
        "num_rows": report.num_rows,
        "problems": {
            str(row.number): [problem.code for problem in row.problems] for row in folder.rows if row.problems
        },
        "health": report.health.model_dump(mode="json"),
    }


def test_a_dirty_file_is_reported_as_it_was_reviewed(tmp_path: Path) -> None:
    assert report_of(tmp_path) == json.loads(EXPECTED.read_text(encoding="utf-8"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        text = json.dumps(report_of(Path(made)), ensure_ascii=False, indent=1)
    EXPECTED.write_text(text + "\n", encoding="utf-8")
