"""`tailorbird up` as a person meets it: one real stack for the module, then what happens when it is killed."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.errors import AppError
from core.stack.api_client import ApiClient
from core.stack.home import Home
from core.stack.ports import choose
from core.stack.programs import PROJECT
from core.stack.up import RunningStack, running_stack
from tests.factories.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.model]


def children(home: Path) -> dict[str, int]:
    found: list[dict[str, Any]] = Home(home).read("state.json")["children"]
    return {child["name"]: child["pid"] for child in found}


def run_up(home: Path, port: int) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "TAILORBIRD_HOME": str(home), "TAILORBIRD_PUBLIC_URL": f"http://127.0.0.1:{port}"}
    command = [sys.executable, "-m", "core.cli", "up"]
    return subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def port() -> int:
    return choose(["public"], {})["public"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, put_bundled_model: Callable[[Path], None]) -> Path:
    home = tmp_path_factory.mktemp("stack") / "home"
    put_bundled_model(home)
    return home


@pytest.fixture(scope="module")
def stack(home: Path, port: int) -> Iterator[RunningStack]:
    with running_stack(home, public_port=port) as running:
        yield running


def test_the_start_prints_a_link_that_makes_the_first_admin(stack: RunningStack, home: Path) -> None:
    said = re.search(rf"{stack.base_url}/setup#([0-9a-f]+)", (home / "up.log").read_text())
    assert said
    body = {"workspace_name": "W", "name": "Eve", "email": "eve@example.com", "password": "a long password"}
    with ApiClient(stack.base_url) as api:
        # the link fits this installation; but the program that started it has made its admin already
        with pytest.raises(AppError) as late:
            api.post("/v1/setup", json=body | {"token": said[1]})
        with pytest.raises(AppError) as wrong:
            api.post("/v1/setup", json=body | {"token": "0" * 32})
    assert (late.value.error_code, wrong.value.error_code) == ("already_set_up", "setup_token_wrong")


def test_the_admin_of_a_program_may_sign_in(stack: RunningStack, home: Path) -> None:
    assert stat.S_IMODE((home / "admin.json").stat().st_mode) == 0o600
    assert stack.admin is not None
    with ApiClient(stack.base_url) as api:
        api.sign_in(stack.admin.email, stack.admin.password)
        file = api.post("/v1/samples/reviews")
        api.post("/v1/datasets", json={"file_id": file["id"], "name": "Reviews"})
    assert stack.admin.password not in (home / "up.log").read_text()


def test_a_second_start_of_the_same_home_is_one_sentence(stack: RunningStack, home: Path, port: int) -> None:
    done = run_up(home, port)
    assert done.returncode == 1
    assert done.stderr.startswith(f"tailorbird: Tailorbird is already running from {home}.")
    assert done.stderr.count("\n") == 1


def test_a_taken_port_is_one_sentence_and_starts_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_up(tmp_path / "home", taken.getsockname()[1])
    assert done.returncode == 1
    assert "is taken by another program" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "home" / "postgres").exists()


def test_a_worker_that_dies_is_replaced(stack: RunningStack, home: Path) -> None:
    dead = children(home)["worker-io"]
    os.kill(dead, signal.SIGKILL)
    eventually(lambda: children(home).get("worker-io") not in {None, dead})
    assert "worker-io ended (exit -9)" in (home / "up.log").read_text()


def test_after_a_kill_the_next_start_has_everything_and_stops_whole(stack: RunningStack, home: Path, port: int) -> None:
    before = children(home)
    os.kill(stack.pid, signal.SIGKILL)
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in before.values()))
    with running_stack(home, public_port=port) as again:
        assert again.admin == stack.admin
        assert again.admin is not None
        with ApiClient(again.base_url) as api:
            api.sign_in(again.admin.email, again.admin.password)
            assert len(api.get("/v1/datasets")["data"]) == 1
        after = children(home)
        assert after.keys() == before.keys()
    assert not any(psutil.pid_exists(pid) for pid in after.values())
