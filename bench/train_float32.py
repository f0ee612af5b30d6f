"""`python bench/train_float32.py RUN_DIR`: the trainer's own command in float32, as all contestants compute.

By itself it takes the fastest type that the machine computes right, which is bfloat16 on some processors.
"""

import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from worker.training import __main__ as program  # noqa: E402
from worker.training import run  # noqa: E402

if __name__ == "__main__":
    run.compute_dtype = lambda _device: torch.float32
    sys.exit(program.main(Path(sys.argv[1])))
