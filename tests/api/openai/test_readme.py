"""README's program as it stands there, against the API at an address of its own; the test is its workers."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from openai import OpenAI

from core.jobs.types import Lease
from tests.factories import documented_code
from tests.factories.documented_code import PROJECT
from tests.factories.inference import WORDS
from tests.factories.waiting import eventually

pytestmark = pytest.mark.stack

README = PROJECT / "README.md"
ADDRESS, KEY = "http://127.0.0.1:8700/v1", "tb_live_…"


def test_it_uploads_tunes_and_talks(
    ai: OpenAI,
    model: str,
    rows: bytes,
    validate: Callable[[str], None],
    claim: Callable[[], Lease],
    succeed: Callable[[Lease], str],
    tmp_path: Path,
) -> None:
    assert json.dumps(model) in README.read_text()
    (tmp_path / "tickets.jsonl").write_bytes(rows)
    code = documented_code.program(README, "python", {ADDRESS: str(ai.base_url), KEY: ai.api_key})
    with ThreadPoolExecutor(max_workers=1) as pool:
        program = pool.submit(documented_code.run, "python", code, tmp_path, {})
        eventually(lambda: program.done() or ai.fine_tuning.jobs.list().data, timeout_s=60)
        for job in ai.fine_tuning.jobs.list():
            assert job.model_extra is not None
            validate(job.model_extra["dataset_version_id"])
            assert ":claims:" in succeed(claim())
        assert program.result(timeout=60) == "".join(WORDS)
