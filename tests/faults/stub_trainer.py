"""A trainer that learns nothing, in the place of `worker.training`: same contract, same checkpoints, little time.

`python stub_trainer.py [--steps N] [--step-s S] [--checkpoint-every-steps N] [--eval-s S] [--bytes N] RUN_DIR`

Its weights are a function of seed, data and step alone, computed step by step from the weights before, so whatever
interrupts it, the adapter of a run has one sha256 (`expected_sha256`). What is to go wrong is read from `drill.json` in
the folder of the job's attempts, or in the one above for all jobs: `{"<fault>": <value>, "attempts": [1]}`, for all
attempts if it does not say which.

| fault | value |
|---|---|
| `steps`, `step_s`, `checkpoint_every_steps`, `eval_s`, `bytes` | instead of the options |
| `hang_at`, `crash_at`, `kill_at`, `nan_at`, `out_of_memory_at`, `disk_full_at` | the step before which it happens |
| `out_of_memory_below_divisor` | as `out_of_memory_at` 1, until the micro-batches are divided by that much |
| `error_at` | {"step", "code", "message"}: a mistake in the data |
| `ignore_sigterm` | true: has to be killed |
"""

import argparse
import errno
import hashlib
import json
import os
import random
import signal
import struct
import sys
import threading
import time
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a script, not a module: whoever starts it need not stand in the repository
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.jobs.exit_codes import ExitCode
from worker import lease_file
from worker.training import recovery, snapshot
from worker.training.events import EventWriter
from worker.training.snapshot import Damaged, Snapshot

NUM_WEIGHTS = 64
WEIGHTS, CONFIG, STATE, STATE_JSON = (
    "adapter_model.safetensors",
    "adapter_config.json",
    "state.safetensors",
    "state.json",
)


@dataclass(slots=True)
class Plan:
    """How one run of the stub goes."""

    steps: int = 40
    step_s: float = 0.01
    checkpoint_every_steps: int = 5
    eval_s: float = 0.02
    bytes: int = 0
    """Ballast of an adapter, to fill disks and slow networks."""
    faults: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, options: argparse.Namespace, folder: Path, attempt: int) -> "Plan":
        plan = cls(options.steps, options.step_s, options.checkpoint_every_steps, options.eval_s, options.bytes)
        for path in (folder.parent.parent / "drill.json", folder.parent / "drill.json"):
            drill = json.loads(path.read_text()) if path.exists() else {}
            if attempt in drill.get("attempts", [attempt]):
                plan.faults |= drill
        for name in ("steps", "step_s", "checkpoint_every_steps", "eval_s", "bytes"):
            setattr(plan, name, plan.faults.get(name, getattr(plan, name)))
        return plan


@dataclass(slots=True)
class State:
    step: int
    weights: list[float]
    trained_tokens: int = 0
    billable_s: float = 0.0
    measured_step: int = -1
    """The last step whose weights were measured; -1 before the base was."""

    @classmethod
    def first(cls, seed: int) -> "State":
        return cls(step=0, weights=[random.Random(f"{seed}/{number}").uniform(-1, 1) for number in range(NUM_WEIGHTS)])

    def advance(self, seed: int, data_sha256: str) -> None:
        """One step: every weight moves by what seed, data, step and it itself decide."""
        pull = random.Random(f"{seed}/{data_sha256}/{self.step}")
        self.weights = [weight - 0.1 * (weight - pull.uniform(-1, 1)) for weight in self.weights]
        self.step += 1


def expected_sha256(*, seed: int, data_sha256: str, steps: int, num_bytes: int = 0) -> str:
    """Of the weights' file that any run ends in, interrupted or not."""
    state = State.first(seed)
    for _ in range(steps):
        state.advance(seed, data_sha256)
    return hashlib.sha256(safetensors(state.weights, num_bytes)).hexdigest()


def safetensors(weights: list[float], num_bytes: int = 0) -> bytes:
    """A file that safetensors loads: one tensor of the weights, one of ballast."""
    length = 8 * len(weights)
    header = json.dumps(
        {
            "weights": {"dtype": "F64", "shape": [len(weights)], "data_offsets": [0, length]},
            "ballast": {"dtype": "U8", "shape": [num_bytes], "data_offsets": [length, length + num_bytes]},
        }
    ).encode()
    return struct.pack("<Q", len(header)) + header + struct.pack(f"<{len(weights)}d", *weights) + bytes(num_bytes)


class Stopped(Exception):
    """SIGTERM came; the checkpoint is written."""


class Trainer:
    def __init__(
        self, folder: Path, plan: Plan, spec: dict[str, Any], events: EventWriter, stop: threading.Event
    ) -> None:
        self._folder, self._plan, self._events, self._stop = folder, plan, events, stop
        self._spec, self._seed = spec, int(spec["seed"])
        rows = (folder / "train.jsonl").read_bytes()
        self._data_sha256, self._num_rows = hashlib.sha256(rows).hexdigest(), rows.count(b"\n")
        self._belongs_to = hashlib.sha256(f"{self._seed}/{self._data_sha256}/{plan.steps}".encode()).hexdigest()
        self._checkpoints = folder / "checkpoints"
        self._saved_step = -1

    def run(self) -> None:
        plan, events = self._plan, self._events
        state = self._resume() or State.first(self._seed)
        if state.measured_step < 0:
            self._evaluate(state, "measuring_base")
        events.stage("training")
        while state.step < plan.steps:
            self._misbehave(state.step + 1)
            started = time.monotonic()
            time.sleep(plan.step_s)
            state.advance(self._seed, self._data_sha256)
            state.trained_tokens += self._num_rows
            state.billable_s += time.monotonic() - started
            self._report(state)
            if self._stop.is_set():
                self._save(state)
                raise Stopped
            if state.step % plan.checkpoint_every_steps == 0:
                self._save(state)
        if state.measured_step < state.step:
            self._evaluate(state, "evaluating")
        self._save(state)
        self._publish(state)

    def _report(self, state: State) -> None:
        steps = self._plan.steps
        self._events.metrics(
            step=state.step,
            total_steps=steps,
            data={"step": state.step, "total_steps": steps, "train_loss": 3.0 - 2.0 * state.step / steps},
        )
        self._say_progress(state)

    def _say_progress(self, state: State) -> None:
        seconds_left = (self._plan.steps - state.step) * self._plan.step_s
        self._events.progress(
            step=state.step, total_steps=self._plan.steps, seconds_left=seconds_left, billable_s=state.billable_s
        )

    def _evaluate(self, state: State, stage: str) -> None:
        self._events.stage(stage)
        started = time.monotonic()
        if self._stop.wait(self._plan.eval_s) and not self._plan.faults.get("ignore_sigterm"):
            self._save(state)
            raise Stopped
        state.billable_s += time.monotonic() - started
        state.measured_step = state.step
        loss = 3.0 - bool(state.step)
        self._events.metrics(
            step=state.step, total_steps=self._plan.steps, data={"step": state.step, "full_valid_loss": loss}
        )
        self._say_progress(state)

    def _misbehave(self, step: int) -> None:
        faults, divisor = self._plan.faults, int(self._spec.get("micro_batch_divisor", 1))
        if faults.get("hang_at") == step:
            threading.Event().wait()
        if faults.get("crash_at") == step:
            raise RuntimeError("the drill wants a crash")
        if faults.get("kill_at") == step:
            os.kill(os.getpid(), signal.SIGKILL)
        if faults.get("nan_at") == step:
            self._fail(ExitCode.NON_FINITE_LOSS, "non_finite_loss", f"The loss stopped being a number at step {step}.")
        if faults.get("out_of_memory_at") == step or (
            step == 1 and divisor < int(faults.get("out_of_memory_below_divisor", 0))
        ):
            raise MemoryError
        if faults.get("disk_full_at") == step:
            raise OSError(errno.ENOSPC, "No space left on device")
        if (mistake := faults.get("error_at")) and mistake["step"] == step:
            self._fail(ExitCode.USER_ERROR, mistake["code"], mistake["message"])

    def _fail(self, code: ExitCode, name: str, message: str) -> None:
        self._events.error(code=name, message=message)
        sys.exit(code)

    def _resume(self) -> State | None:
        found = recovery.recover(self._checkpoints, belongs_to=self._belongs_to, events=self._events, load=_load)
        if found is None:
            return None
        kept, state = found
        self._saved_step = state.step
        self._events.message(recovery.continuing(kept, total_steps=self._plan.steps), data={"step": state.step})
        self._say_progress(state)
        return state

    def _save(self, state: State) -> None:
        if state.step == self._saved_step:
            return

        def fill(folder: Path) -> None:
            (folder / STATE).write_bytes(safetensors(state.weights, self._plan.bytes))
            position = {name: value for name, value in asdict(state).items() if name != "weights"}
            (folder / STATE_JSON).write_text(json.dumps({"position": position}))

        written = snapshot.write(self._checkpoints, step=state.step, belongs_to=self._belongs_to, fill=fill)
        self._saved_step = state.step
        self._events.checkpoint(step=written.step, name=written.name, digest=written.digest)

    def _publish(self, state: State) -> None:
        self._events.stage("saving")
        adapter = self._folder / "adapter"
        adapter.mkdir(exist_ok=True)
        config = json.dumps({"peft_type": "LORA", "base_model_name_or_path": self._spec["base_model"]})
        content = {WEIGHTS: safetensors(state.weights, self._plan.bytes), CONFIG: config.encode()}
        for name, data in content.items():
            (adapter / name).write_bytes(data)
        results = {
            "steps": state.step,
            "trained_tokens": state.trained_tokens,
            "seen_tokens": state.trained_tokens,
            "billable_s": state.billable_s,
            "base_heldout_loss": 3.0,
            "tuned_heldout_loss": 2.0,
        }
        manifest = {
            "files": {
                name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in content.items()
            },
            "lineage": self._spec.get("lineage", {}),
            "results": results,
        }
        (adapter / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True))
        self._events.result(results)


def _load(kept: Snapshot) -> State:
    raw = (kept.path / STATE).read_bytes()
    (header_bytes,) = struct.unpack_from("<Q", raw)
    weights = struct.unpack_from(f"<{NUM_WEIGHTS}d", raw, 8 + header_bytes)
    position = json.loads((kept.path / STATE_JSON).read_text())["position"]
    if not isinstance(position, dict):
        raise Damaged("its position is no object")
    return State(weights=list(weights), **position)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--step-s", type=float, default=0.01)
    parser.add_argument("--checkpoint-every-steps", type=int, default=5)
    parser.add_argument("--eval-s", type=float, default=0.02)
    parser.add_argument("--bytes", type=int, default=0)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    lease_file.watch(folder)
    stop = threading.Event()
    spec = json.loads((folder / "spec.json").read_text())
    plan = Plan.of(options, folder, int(spec.get("lineage", {}).get("attempt") or 1))
    ignores = bool(plan.faults.get("ignore_sigterm"))
    signal.signal(signal.SIGTERM, signal.SIG_IGN if ignores else lambda *_: stop.set())
    with closing(EventWriter(folder / "events.jsonl")) as events:
        try:
            Trainer(folder, plan, spec, events, stop).run()
        except Stopped:
            return ExitCode.INTERRUPTED
        except MemoryError:
            return ExitCode.OUT_OF_MEMORY
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            return ExitCode.DISK_FULL
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
