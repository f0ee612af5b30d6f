"""A trainer that a signal meets while it saves a checkpoint, between any two things it does to files.

`python dying_trainer.py real|stub [OPTIONS …] RUN_DIR`. `drill.json` of the job's folder says `{"boundary": 3,
"signal": 9}`: at the fourth thing that the first attempt does to a file below `checkpoints/`, once it has a whole
checkpoint there, it gets the signal. What Python does to files is told by its audit events, so no code is changed.
"""

import json
import os
import signal
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_ROOT))
_EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.scandir", "shutil.rmtree"}


def die_while_saving(folder: Path, boundary: int, number: int) -> None:
    checkpoints = str(folder / "checkpoints")
    seen = -1

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event not in _EVENTS or not str(arguments[0]).startswith(checkpoints) or seen >= boundary:
            return
        # looking is itself such an event
        if seen >= 0 or (event != "os.scandir" and _has_a_whole_one(checkpoints)):
            seen += 1
            if seen == boundary:
                os.kill(os.getpid(), number)

    sys.addaudithook(hear)


def _has_a_whole_one(checkpoints: str) -> bool:
    return any(path.name.startswith("step-") for path in Path(checkpoints).glob("*"))


def main() -> None:
    kind, *options, run_dir = sys.argv[1:]
    folder = Path(run_dir)
    attempt = json.loads((folder / "spec.json").read_text()).get("lineage", {}).get("attempt")
    drill = folder.parent / "drill.json"
    plan = json.loads(drill.read_text()) if drill.exists() else {}
    if attempt == 1 and "boundary" in plan:
        die_while_saving(folder, plan["boundary"], plan.get("signal", signal.SIGKILL))
    if kind == "real":
        from worker.training.__main__ import main as train

        sys.exit(train(folder))
    from tests.faults.stub_trainer import main as pretend

    sys.exit(pretend([*options, run_dir]))


if __name__ == "__main__":
    main()
