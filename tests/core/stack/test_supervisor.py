"""The supervisor with small stand-in programs: order, restarts, giving up, and one sentence for each bad start."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from core.errors import AppError, Unavailable
from core.stack.home import Home, held_home
from core.stack.processes import Child, Program, spawn, stop_all, wait_until
from core.stack.supervisor import MAX_FAILURES_IN_A_ROW, Service, Supervisor
from tests.factories.waiting import eventually


def program(home: Home, name: str, code: str, **options: object) -> Program:
    argv = [sys.executable, "-c", code]
    return Program(name=name, argv=argv, log=home.log(name), env=dict(os.environ), **options)  # type: ignore[arg-type]


def service(home: Home, name: str, code: str, **options: object) -> Service:
    return Service(name, lambda: spawn(program(home, name, code, **options)))


def announcing(home: Home, name: str) -> str:
    order = home.path / "order"
    return (
        "import signal, sys, time\n"
        f"def end(*_):\n    open({str(order)!r}, 'a').write({name!r} + ' ')\n    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\nprint('up', flush=True)\nwhile True: time.sleep(1)\n"
    )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.logs.mkdir(parents=True)
    return found


@pytest.fixture
def said() -> list[str]:
    return []


def test_groups_stop_in_reverse_order(home: Home, said: list[str]) -> None:
    supervisor = Supervisor(home, said.append)

    def follow(name: str) -> Callable[[Child], None]:
        return lambda child: wait_until(lambda: "up" in home.log(name).read_text(), child, timeout_s=10)

    for name in ("first", "second", "third"):
        code = announcing(home, name)
        supervisor.start([Service(name, service(home, name, code).start, follow(name))])
    supervisor.stop()
    assert (home.path / "order").read_text().split() == ["third", "second", "first"]


def test_what_dies_is_started_again_and_said(home: Home, said: list[str]) -> None:
    supervisor = Supervisor(home, said.append)
    supervisor.start([service(home, "loyal", "import time; time.sleep(600)")])
    first = supervisor.groups[0][0].child.process.pid
    os.kill(first, signal.SIGKILL)

    def is_another() -> bool:
        supervisor.look()
        return supervisor.groups[0][0].child.process.pid != first

    eventually(is_another)
    assert supervisor.groups[0][0].child.exit_code() is None
    assert [child["pid"] for child in home.read("state.json")["children"]] != [first]
    assert said == [f"loyal ended (exit -9); it is started again in 0 s. See {home.log('loyal')}."]
    supervisor.stop()


def test_what_keeps_dying_stops_the_stack_with_its_last_words(
    home: Home, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.stack.supervisor._MAX_PAUSE_S", 0)
    supervisor = Supervisor(home, said.append)
    supervisor.start([service(home, "hopeless", "import sys; sys.exit('no such thing as luck')")])
    failed: list[str] = []

    def gave_up() -> bool:
        try:
            supervisor.look()
        except Unavailable as error:
            failed.append(error.message)
        return bool(failed)

    eventually(gave_up)
    assert "hopeless ended 6 times in a row (exit 1)" in failed[0]
    assert "no such thing as luck" in failed[0]
    assert len(said) == MAX_FAILURES_IN_A_ROW


def test_a_program_that_will_not_end_is_ended_by_force_with_its_group(home: Home) -> None:
    code = (
        "import signal, subprocess, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '600'])\nprint(child.pid, flush=True)\nwhile True: time.sleep(1)\n"
    )
    child = spawn(program(home, "stubborn", code, stop_timeout_s=0.2))
    eventually(lambda: home.log("stubborn").read_text().strip() != "")
    grandchild = int(home.log("stubborn").read_text())
    stop_all([child])
    assert child.exit_code() == -signal.SIGKILL
    eventually(lambda: not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE)


def test_a_start_that_fails_tells_the_last_words_and_where_to_read_more(home: Home) -> None:
    child = spawn(program(home, "server", "import sys; sys.exit('the map of the disk is torn')"))
    with pytest.raises(Unavailable, match=r"ended right after its start \(exit 1\): the map of the disk is torn"):
        wait_until(lambda: False, child, timeout_s=10)


def test_a_start_that_takes_too_long_is_given_up(home: Home) -> None:
    child = spawn(program(home, "server", "import time; time.sleep(600)"))
    with pytest.raises(Unavailable, match="was not ready after 0 s"):
        wait_until(lambda: False, child, timeout_s=0.1)
    stop_all([child])


def test_too_little_disk_is_said_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="Free some space"), held_home(tmp_path / "home", min_free_bytes=10**18):
        pass


def test_a_full_disk_is_one_sentence(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(Unavailable, match="is full"), held_home(home.path):
        pass


def test_a_file_where_the_home_should_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(AppError, match="is in the way"), held_home(tmp_path / "home"):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_closed_folder_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(AppError, match="cannot be read and written"), held_home(tmp_path / "home"):
        pass


def test_a_damaged_file_of_the_home_is_one_sentence(home: Home) -> None:
    (home.path / "secrets.json").write_text("{half")
    with pytest.raises(AppError, match="damaged"):
        home.secrets()


def test_secrets_are_made_once(home: Home) -> None:
    assert home.secrets() == home.secrets()
    kept = json.loads((home.path / "secrets.json").read_text())
    assert len(set(kept.values())) == len(kept)
