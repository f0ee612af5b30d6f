"""`python -m worker.ingest RUN_DIR`: a file to checked rows, in a process of its own with limits on all it may use.

In: `spec.json` (core.datasets.ingest.IngestSpec) and `file`. Out: `rows.jsonl`, `report.json`, `events.jsonl`.
"""

import sys
from pathlib import Path

from worker import lease_file
from worker.ingest.run import run

if __name__ == "__main__":
    lease_file.watch(Path(sys.argv[1]))
    sys.exit(run(Path(sys.argv[1])))
