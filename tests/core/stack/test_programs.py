import os
from pathlib import Path

import pytest

from core.jobs.kinds import QueueName
from core.stack import programs
from core.stack.home import Home
from core.stack.processes import Child, Program
from core.workers.types import Device


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Program]:
    """What would have been started."""
    found: list[Program] = []

    def spawn(program: Program) -> Child:
        found.append(program)
        return Child(program, None)  # type: ignore[arg-type]

    monkeypatch.setattr(programs, "spawn", spawn)
    return found


def gpu(index: int) -> Device:
    return Device(index=index, uuid=f"GPU-{index}", name="NVIDIA H100", memory_bytes=1, used_bytes=0, utilization=None)


def test_each_gpu_has_a_worker_that_sees_no_other_and_the_processors_worker_sees_none(
    tmp_path: Path, started: list[Program]
) -> None:
    queues = [QueueName.IO, QueueName.CPU, QueueName.GPU]
    services = programs.worker_services(Home(tmp_path), os.environ, queues, [gpu(0), gpu(3)], kill_grace_s=30)
    for service in services:
        service.start()
    seen = {program.name: program.env["CUDA_VISIBLE_DEVICES"] for program in started}
    assert seen == {"worker-io": "", "worker-cpu": "", "worker-gpu-0": "GPU-0", "worker-gpu-3": "GPU-3"}
    assert [program.argv[-2:] for program in started][2:] == [["worker", "gpu"], ["worker", "gpu"]]
    assert all(program.stop_timeout_s > 30 for program in started), "its child is given that long"


def test_a_worker_may_have_several_gpus_and_what_is_left_over_has_a_smaller_one(
    tmp_path: Path, started: list[Program]
) -> None:
    gpus = [gpu(index) for index in range(5)]
    services = programs.worker_services(
        Home(tmp_path), os.environ, [QueueName.GPU], gpus, kill_grace_s=30, gpus_per_worker=2
    )
    for service in services:
        service.start()
    seen = {program.name: program.env["CUDA_VISIBLE_DEVICES"] for program in started}
    assert seen == {"worker-gpu-0-1": "GPU-0,GPU-1", "worker-gpu-2-3": "GPU-2,GPU-3", "worker-gpu-4": "GPU-4"}


def test_without_a_gpu_nothing_is_hidden(tmp_path: Path, started: list[Program]) -> None:
    (service,) = programs.worker_services(Home(tmp_path), {"PATH": "/bin"}, [QueueName.CPU], [], kill_grace_s=30)
    service.start()
    assert dict(started[0].env) == {"PATH": "/bin"}


def test_only_workers_that_send_webhooks_are_given_the_keys_of_secrets(tmp_path: Path, started: list[Program]) -> None:
    env = {"PATH": "/bin", "TAILORBIRD_SECRET_KEY": "s", "TAILORBIRD_ENCRYPTION_KEYS": "k"}
    for service in programs.worker_services(
        Home(tmp_path), env, [QueueName.IO, QueueName.CPU, QueueName.GPU], [gpu(0)], kill_grace_s=30
    ):
        service.start()
    assert {program.name for program in started if env.items() <= program.env.items()} == {"worker-io"}
    others = [program for program in started if program.name != "worker-io"]
    assert not [program.name for program in others if "KEY" in " ".join(program.env)]
