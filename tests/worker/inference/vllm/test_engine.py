"""A process of vLLM's, through what may happen to it: ended in the middle of an answer, failing, left behind."""

import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from core.base_models import service as base_models
from core.config import Settings
from core.errors import Unavailable
from core.inference.types import DeltaLine, DoneLine, ErrorLine, StreamLine
from tests.factories.engines import fake_python, real_python
from tests.factories.waiting import eventually
from tests.worker.inference.tiny_models import chat_request, make_home
from worker.inference.vllm.adapters import LoadedAdapters
from worker.inference.vllm.engine import Load
from worker.inference.vllm.runtime import VllmRuntime

BASE = base_models.default_base_model().id
DEADLINE_S = 600
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "s3cret",
    "DATABASE_URL": "postgresql://u:s3cret@db/x",
    "TAILORBIRD_SECRET_KEY": "s",
}


@pytest.fixture(scope="module")
def model_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("home"), num_heads=2)


def settings_of(model_home: Path, folder: Path, python: Path) -> Settings:
    (folder / "base_models").symlink_to(model_home / "base_models")
    return Settings(
        home=folder,
        inference_token="secret-of-the-test",
        vllm_python=python,
        vllm_base_models=BASE,
        vllm_max_lora_rank=8,
        vllm_cpu_cache_gib=1,
    )


@pytest.fixture(scope="module", params=["faked", pytest.param("real", marks=pytest.mark.vllm)])
def runtime(
    request: pytest.FixtureRequest, model_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VllmRuntime]:
    """One for the first three tests, in their order: the last of them ends it."""
    folder = tmp_path_factory.mktemp(request.param)
    python = real_python() if request.param == "real" else fake_python(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        runtime = VllmRuntime(settings_of(model_home, folder, python), [BASE])
        runtime.start()
        eventually(lambda: status(runtime) == "ready", timeout_s=DEADLINE_S)
        yield runtime
        runtime.stop()


def status(runtime: VllmRuntime) -> str:
    return runtime.health().served[0].status


def processes(runtime: VllmRuntime) -> list[psutil.Process]:
    """The one we started, and those that it did."""
    pid = runtime._served[BASE].engine.pid
    assert pid is not None
    head = psutil.Process(pid)
    return [head, *head.children(recursive=True)]


def answer(runtime: VllmRuntime, **sampling: object) -> "queue.Queue[StreamLine]":
    lines: queue.Queue[StreamLine] = queue.Queue()
    runtime.generate(chat_request(**sampling), lines.put)  # type: ignore[arg-type]
    return lines


def last_of(lines: "queue.Queue[StreamLine]") -> StreamLine:
    while not isinstance(line := lines.get(timeout=DEADLINE_S), DoneLine | ErrorLine):
        pass
    return line


def test_killed_in_the_middle_of_an_answer_it_is_told_and_the_next_one_is_right(runtime: VllmRuntime) -> None:
    before = last_of(answer(runtime))
    assert isinstance(before, DoneLine)
    killed = processes(runtime)
    lines = answer(runtime, max_tokens=900, logit_bias={2: -100, 0: -100})
    assert isinstance(lines.get(timeout=DEADLINE_S), DeltaLine)
    killed[0].send_signal(signal.SIGKILL)
    told = last_of(lines)
    assert isinstance(told, ErrorLine)
    assert (told.category, told.code) == ("unavailable", "engine_died")
    with pytest.raises(Unavailable) as refused:
        answer(runtime)
    assert refused.value.error_code == "engine_starting"
    assert refused.value.details["retry_after_s"] > 0
    eventually(lambda: status(runtime) == "restarting", timeout_s=DEADLINE_S)
    eventually(lambda: status(runtime) == "ready", timeout_s=DEADLINE_S)
    after = last_of(answer(runtime))
    assert isinstance(after, DoneLine)
    assert after.usage.completion_tokens == before.usage.completion_tokens
    eventually(lambda: runtime.health().active == 0)
    (served,) = runtime.health().served
    assert (served.num_restarts, served.problem) == (1, None)
    assert not [one for one in killed if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_it_knows_no_secret_and_reaches_no_network(runtime: VllmRuntime) -> None:
    (served,) = runtime.health().served
    head, *_ = processes(runtime)
    assert head.environ()["HF_HUB_OFFLINE"] == "1"
    for process in processes(runtime):
        # one that names itself writes over a part of what it was given
        environment = process.environ()
        assert not SECRETS.keys() & environment.keys()
        assert "s3cret" not in str(environment)
        own = Path("/proc/self/ns/net").readlink()
        assert (Path(f"/proc/{process.pid}/ns/net").readlink() != own) == served.is_isolated
        if served.is_isolated:
            assert {line.split(":")[0].strip() for line in devices(process.pid)} == {"lo"}


def devices(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]


def test_when_it_is_stopped_nothing_is_left(runtime: VllmRuntime) -> None:
    ended = processes(runtime)
    runtime.stop()
    assert not [one for one in ended if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_whatever_goes_wrong_in_following_it_another_one_is_started(
    model_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, calls = LoadedAdapters.begin, []

    def fail_once(adapters: LoadedAdapters, load: Load) -> None:
        calls.append(load)
        if len(calls) == 1:
            raise ZeroDivisionError
        begin(adapters, load)

    monkeypatch.setattr(LoadedAdapters, "begin", fail_once)
    runtime = VllmRuntime(settings_of(model_home, tmp_path, fake_python(tmp_path)), [BASE])
    runtime.start()
    eventually(lambda: status(runtime) == "ready", timeout_s=DEADLINE_S)
    assert isinstance(last_of(answer(runtime)), DoneLine)
    (served,) = runtime.health().served
    assert served.num_restarts == 1
    runtime.stop()


@pytest.mark.vllm
def test_the_computing_process_may_die_as_well(model_home: Path, tmp_path: Path) -> None:
    runtime = VllmRuntime(settings_of(model_home, tmp_path, real_python()), [BASE])
    runtime.start()
    eventually(lambda: status(runtime) == "ready", timeout_s=DEADLINE_S)
    lines = answer(runtime, max_tokens=900, logit_bias={2: -100, 0: -100})
    assert isinstance(lines.get(timeout=DEADLINE_S), DeltaLine)
    (core,) = [one for one in processes(runtime) if "EngineCore" in " ".join(one.cmdline())]
    core.send_signal(signal.SIGKILL)
    told = last_of(lines)
    assert isinstance(told, ErrorLine)
    assert told.code == "engine_died"
    eventually(lambda: status(runtime) == "restarting", timeout_s=DEADLINE_S)
    eventually(lambda: status(runtime) == "ready", timeout_s=DEADLINE_S)
    assert isinstance(last_of(answer(runtime)), DoneLine)
    runtime.stop()


@pytest.mark.vllm
def test_it_ends_with_our_process_however_that_ends(model_home: Path, tmp_path: Path) -> None:
    settings = settings_of(model_home, tmp_path, real_python())
    source = (
        "import sys, time; from core.config import Settings; from worker.inference.vllm.runtime import VllmRuntime\n"
        f"runtime = VllmRuntime(Settings.model_validate_json({settings.model_dump_json()!r}), [{BASE!r}])\n"
        "runtime.start()\n"
        f"while runtime.health().served[0].status != 'ready': time.sleep(0.2)\n"
        f"print(runtime._served[{BASE!r}].engine.pid, flush=True); time.sleep(600)\n"
    )
    ours = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    assert ours.stdout is not None
    head = psutil.Process(int(ours.stdout.readline()))
    left = [head, *head.children(recursive=True)]
    ours.kill()
    ours.wait()
    ours.stdout.close()
    eventually(lambda: not [one for one in left if one.is_running()], timeout_s=60)


def script(folder: Path, text: str) -> Path:
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return program


def test_one_that_never_starts_is_told_with_its_last_words(model_home: Path, tmp_path: Path) -> None:
    python = script(tmp_path, "echo 'no kernel image is available for this GPU' >&2; exit 3")
    runtime = VllmRuntime(settings_of(model_home, tmp_path, python), [BASE])
    runtime.start()
    with pytest.raises(Unavailable) as refused:
        answer(runtime)
    assert refused.value.error_code == "engine_starting"
    eventually(lambda: status(runtime) == "failed")
    assert runtime.health().status == "failed"
    assert "no kernel image is available for this GPU" in (runtime.health().problem or "")
    with pytest.raises(Unavailable, match="no kernel image"):
        answer(runtime)
    runtime.stop()
    assert "vllm-loop" not in {thread.name for thread in threading.enumerate()}


def test_without_its_environment_an_admin_is_told_what_to_do(model_home: Path, tmp_path: Path) -> None:
    runtime = VllmRuntime(settings_of(model_home, tmp_path, tmp_path / "nowhere"), [BASE])
    runtime.start()
    eventually(lambda: status(runtime) == "failed")
    assert "make vllm" in (runtime.health().problem or "")
    runtime.stop()
