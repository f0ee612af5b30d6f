"""`python -m worker.ingest RUN_DIR`: a file to checked rows, in a process of its own with limits on all it may use.

What goes in and what comes out: `core.datasets.ingest_files`. Where there are rows to change, they are, instead.
"""

import sys
from pathlib import Path

from core.datasets.ingest_files import BASE_NAME
from worker import lease_file
from worker.ingest import derive, run

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    lease_file.watch(folder)
    sys.exit(derive.run(folder) if (folder / BASE_NAME).exists() else run.run(folder))
