"""`python bench/upload_memory.py [MEGABYTES]`: how much more memory the api takes while a large file arrives in parts.

Real servers, the api as a process of its own, and a client that sends parts of 16 MB, three at once, and completes
them. `upload_peak_mb` is the kernel's own peak of the api's resident memory (`VmHWM`), less what it had before.
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
_LINE = b'{"messages": [{"role": "user", "content": "Is it open?"}, {"role": "assistant", "content": "%s"}]}\n' % (
    b"yes " * 2000
)
_START_S = 120


def resident_mb(pid: int, name: str) -> float:
    """`VmRSS` is what it has, `VmHWM` the most that it had."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    if found is None:
        raise RuntimeError(f"the kernel tells no {name}")
    return int(found[1]) / 1000


def send(client: httpx.Client, num_bytes: int) -> None:
    """One file of whole lines, in parts."""
    whole = _LINE * (num_bytes // len(_LINE))
    starts = range(0, len(whole), _PART_BYTES)
    body = {"bytes": len(whole), "filename": "large.jsonl", "mime_type": "text/jsonl", "purpose": "fine-tune"}
    upload = client.post("/v1/uploads", json=body).raise_for_status().json()["id"]

    def part(start: int) -> str:
        files = {"data": whole[start : start + _PART_BYTES]}
        return str(client.post(f"/v1/uploads/{upload}/parts", files=files).raise_for_status().json()["id"])

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        ids = list(pool.map(part, starts))
    client.post(f"/v1/uploads/{upload}/complete", json={"part_ids": ids}).raise_for_status()


def headers_of_a_member(servers: ServerUrls) -> dict[str, str]:
    migrate.upgrade(servers.database_owner_url, servers.database_url)
    database = Database(servers.database_url)
    with database.session(SYSTEM) as session:
        workspace_id = workspaces.create_workspace(session, name="Bench", slug="bench").id
    return key_headers(database, make_principal(database, workspace_id, Role.MEMBER))


def main(num_megabytes: int) -> None:
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
        api = subprocess.Popen([sys.executable, "-m", "api"], env=env, cwd=ROOT, stderr=subprocess.DEVNULL)
        try:
            with httpx.Client(base_url=url, headers=headers, timeout=900) as client:
                until = time.monotonic() + _START_S
                while time.monotonic() < until:
                    try:
                        client.get("/v1/models").raise_for_status()
                        break
                    except httpx.TransportError:
                        time.sleep(0.2)
                send(client, 20_000_000)  # what is loaded once is not the file's
                before = resident_mb(api.pid, "VmRSS")
                Path(f"/proc/{api.pid}/clear_refs").write_text("5")  # the peak begins anew
                began = time.monotonic()
                send(client, num_megabytes * 1_000_000)
                peak = resident_mb(api.pid, "VmHWM") - before
                print(
                    json.dumps(
                        {
                            "file_mb": num_megabytes,
                            "upload_peak_mb": round(peak, 1),
                            "api_before_mb": round(before, 1),
                            "seconds": round(time.monotonic() - began, 1),
                        }
                    )
                )
        finally:
            api.terminate()
            api.wait(timeout=60)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
