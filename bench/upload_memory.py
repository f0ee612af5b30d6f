"""`python bench/upload_memory.py FILE`: how much more memory the api takes while a large file arrives in parts.

Real servers, the api as a process of its own, and a client that sends parts of 16 MB, three at once, and completes
them. `upload_peak_mb` is the kernel's own peak of the api's resident memory (`VmHWM`), less what it had before;
`preview_answer_s` is how long the first preview of the file is waited for then.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from core.backends.blobs import S3BlobStore  # noqa: E402
from core.config import Settings  # noqa: E402
from core.db import migrate  # noqa: E402
from core.db.session import SYSTEM, Database  # noqa: E402
from core.stack.ports import choose  # noqa: E402
from core.stack.servers import ServerUrls, embedded_servers  # noqa: E402
from core.workspaces import service as workspaces  # noqa: E402
from core.workspaces.roles import Role  # noqa: E402
from tests.conftest import key_headers, make_principal  # noqa: E402

_PART_BYTES = 16_000_000
_AT_ONCE = 3
_START_S = 120


def resident_mb(pid: int, name: str) -> float:
    """`VmRSS` is what it has, `VmHWM` the most that it had."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    if found is None:
        raise RuntimeError(f"the kernel tells no {name}")
    return int(found[1]) / 1000


def send(client: httpx.Client, path: Path, num_bytes: int | None = None) -> str:
    """The file in parts, or whole lines of its beginning; its id."""
    size = num_bytes or path.stat().st_size
    body = {"bytes": size, "filename": path.name, "mime_type": "text/csv", "purpose": "fine-tune"}
    upload = client.post("/v1/uploads", json=body).raise_for_status().json()["id"]

    def part(start: int) -> str:
        with path.open("rb") as stream:
            stream.seek(start)
            files = {"data": stream.read(min(_PART_BYTES, size - start))}
        return str(client.post(f"/v1/uploads/{upload}/parts", files=files).raise_for_status().json()["id"])

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        ids = list(pool.map(part, range(0, size, _PART_BYTES)))
    done = client.post(f"/v1/uploads/{upload}/complete", json={"part_ids": ids}).raise_for_status().json()
    return str(done["file"]["id"])


def beginning(path: Path, num_bytes: int) -> int:
    """So many bytes, to the end of the line."""
    with path.open("rb") as stream:
        stream.seek(num_bytes)
        stream.readline()
        return stream.tell()


def headers_of_a_member(servers: ServerUrls) -> dict[str, str]:
    migrate.upgrade(servers.database_owner_url, servers.database_url)
    database = Database(servers.database_url)
    with database.session(SYSTEM) as session:
        workspace_id = workspaces.create_workspace(session, name="Bench", slug="bench").id
    return key_headers(database, make_principal(database, workspace_id, Role.MEMBER))


def main(path: Path) -> None:
    with tempfile.TemporaryDirectory() as home, embedded_servers(Path(home) / "servers", is_durable=False) as servers:
        url = f"http://127.0.0.1:{choose(['api'], {})['api']}"
        told = {
            "home": f"{home}/api",
            "public_url": url,
            "database_url": servers.database_url,
            "redis_url": servers.redis_url,
            "s3_endpoint_url": servers.s3_endpoint_url,
            "s3_bucket": servers.s3_bucket,
            "s3_access_key_id": servers.s3_access_key_id,
            "s3_secret_access_key": servers.s3_secret_access_key,
        }
        S3BlobStore(Settings.model_validate(told)).ensure_bucket()
        headers = headers_of_a_member(servers)
        env = os.environ | {f"TAILORBIRD_{name.upper()}": value for name, value in told.items()}
        api = subprocess.Popen(
            [sys.executable, "-m", "api"], env=env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            with httpx.Client(base_url=url, headers=headers, timeout=900) as client:
                until = time.monotonic() + _START_S
                while time.monotonic() < until:
                    try:
                        client.get("/v1/models").raise_for_status()
                        break
                    except httpx.TransportError:
                        time.sleep(0.2)
                # what is loaded once is not the file's
                send(client, path, beginning(path, 20_000_000))
                before = resident_mb(api.pid, "VmRSS")
                Path(f"/proc/{api.pid}/clear_refs").write_text("5")  # the peak begins anew
                began = time.monotonic()
                file_id = send(client, path)
                uploaded = time.monotonic()
                peak = resident_mb(api.pid, "VmHWM") - before
                client.post(f"/v1/files/{file_id}/preview", json={}).raise_for_status()
                found = {
                    "file_mb": path.stat().st_size / 1e6,
                    "upload_peak_mb": peak,
                    "api_before_mb": before,
                    "upload_s": uploaded - began,
                    "preview_answer_s": time.monotonic() - uploaded,
                }
                print(json.dumps({name: round(value, 2) for name, value in found.items()}))
        finally:
            api.terminate()
            api.wait(timeout=60)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
