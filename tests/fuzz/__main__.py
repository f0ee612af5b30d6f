"""`make fuzz`: 20,000 cases and more over the whole API, on servers of its own; fails if it finds anything.

It is drill 32: with `DRILLS_RECORD=1` what it found stands in `docs/reliability.md`.
"""

import argparse
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from core.backends.blobs import S3BlobStore
from core.config import Settings
from core.db import migrate
from core.db.session import Database
from core.stack.servers import embedded_servers
from tests.factories.backends import memory_backends
from tests.faults.recording import TestRecord, save
from tests.fuzz.campaign import Findings, run
from tests.fuzz.target import make_target

# of one campaign; another one, with another seed, follows until there are enough cases
_MAX_EXAMPLES = 100


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        found = _campaigns(Path(name), wanted.cases, wanted.seed)
    print("\n\n".join(one.describe() for one in found))  # noqa: T201 - its output
    total, seconds = sum(one.total for one in found), sum(one.seconds for one in found)
    failures: Counter[str] = Counter(title for one in found for _, title in one.failures)
    errors = sum(one.num_server_errors for one in found)
    print(f"\n{total:,} cases in {seconds:.0f} s: {errors} server errors, findings: {dict(failures) or 'none'}")  # noqa: T201 - its output
    has_failed = bool(failures or errors or any(one.errors for one in found))
    save(
        TestRecord(
            drill=32,
            test="test_a_long_campaign_finds_nothing",
            outcome="failed" if has_failed else "passed",
            seconds=seconds,
            times=total,
            figures={"campaigns": len(found), "server_errors": errors},
        ),
        wanted.seed,
    )
    return int(has_failed)


def _campaigns(folder: Path, num_cases: int, seed: int) -> list[Findings]:
    found: list[Findings] = []
    with embedded_servers(folder / "servers", is_durable=False) as urls:
        migrate.upgrade(urls.database_owner_url, urls.database_url)
        settings = Settings(
            home=folder / "home",
            secret_key="a secret for tests, long enough for any check",
            inference_token="a token for tests",
            database_url=urls.database_url,
            redis_url=urls.redis_url,
            s3_endpoint_url=urls.s3_endpoint_url,
            s3_bucket=urls.s3_bucket,
            s3_access_key_id=urls.s3_access_key_id,
            s3_secret_access_key=urls.s3_secret_access_key,
        )
        database = Database(settings.database_url)
        target = make_target(settings, database, replace(memory_backends(), blobs=S3BlobStore(settings)))
        while sum(one.total for one in found) < num_cases:
            found.append(
                run(target.app, key=target.key, ids=target.ids, seed=seed + len(found), max_examples=_MAX_EXAMPLES)
            )
        database.dispose()
    return found


if __name__ == "__main__":
    sys.exit(main())
