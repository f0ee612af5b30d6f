"""Our own programs as services of the supervisor: the api, workers, the runtime; and the base model before them."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from core.errors import Conflict
from core.jobs.kinds import QueueName
from core.stack.home import Home
from core.stack.processes import Child, Program, spawn, stop_all, wait_until
from core.stack.supervisor import Service
from core.workers.types import Device

PROJECT = Path(__file__).parents[2]
_BASE_MODEL_TIMEOUT_S = 900
# what only those who send webhooks need: workers of the queue io
_FOR_COURIERS = {"TAILORBIRD_SECRET_KEY", "TAILORBIRD_ENCRYPTION_KEYS", "TAILORBIRD_SMTP_URL"}
# what a worker needs beside the time that it gives its child
_SIGN_OFF_S = 35


def python_service(
    home: Home,
    env: Mapping[str, str],
    name: str,
    arguments: Sequence[str],
    ready: Callable[[], bool] | None = None,
    *,
    timeout_s: float = 0,
    stop_timeout_s: float = 40,
    shows_output: bool = False,
) -> Service:
    """`python -m …`, ready when `ready` says so."""
    program = Program(
        name=name,
        argv=[sys.executable, "-m", *arguments],
        log=home.log(name),
        env=env,
        cwd=PROJECT,
        stop_timeout_s=stop_timeout_s,
        shows_output=shows_output,
    )

    def follow(child: Child) -> None:
        if ready:
            wait_until(ready, child, timeout_s=timeout_s)

    return Service(name, lambda: spawn(program), follow)


def worker_services(
    home: Home,
    env: Mapping[str, str],
    queues: Sequence[QueueName],
    gpus: Sequence[Device],
    *,
    kill_grace_s: float,
    gpus_per_worker: int = 1,
    shows_output: bool = False,
) -> list[Service]:
    """A worker for each queue; of the gpu queue one for each GPU, or so many of them, which sees no other."""
    services = []
    for queue in queues:
        known = env if queue is QueueName.IO else {name: env[name] for name in env.keys() - _FOR_COURIERS}
        # the trainer takes a card that it finds: a worker of the processor's queue must not see any
        places: list[tuple[str, dict[str, str]]] = [(f"worker-{queue}", {"CUDA_VISIBLE_DEVICES": ""} if gpus else {})]
        if queue is QueueName.GPU:
            groups = [gpus[first : first + gpus_per_worker] for first in range(0, len(gpus), gpus_per_worker)]
            places = [
                (
                    f"worker-gpu-{'-'.join(str(gpu.index) for gpu in group)}",
                    {"CUDA_VISIBLE_DEVICES": ",".join(gpu.uuid for gpu in group)},
                )
                for group in groups
            ]
        services += [
            python_service(
                home,
                {**known, **devices},
                name,
                ["worker", queue.value],
                stop_timeout_s=kill_grace_s + _SIGN_OFF_S,
                shows_output=shows_output,
            )
            for name, devices in places
        ]
    return services


def prepare_base_model(home: Home, env: Mapping[str, str]) -> None:
    """Put the bundled model on the disk; quick when it is there."""
    log = home.log("base-models")
    child = spawn(Program("base-models", [sys.executable, "-m", "worker.base_models"], log, env, cwd=PROJECT))
    try:
        code = child.process.wait(_BASE_MODEL_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        stop_all([child])
    if code != 0:
        raise Conflict(
            f"The base model could not be prepared: {child.last_words() or 'it took too long'}. See {log}.",
            code="base_model_not_ready",
        )
