"""The receiver of `docs/webhooks.md`, run as it stands there."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.webhooks import signing
from core.webhooks.service import body_of
from core.webhooks.types import EventType

PAGE = Path(__file__).parents[3] / "docs" / "webhooks.md"
SECRET = signing.new_secret()


def test_it_believes_what_we_sign_once_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "unwrap" in block)
    monkeypatch.setenv("TAILORBIRD_WEBHOOK_SECRET", SECRET)
    found: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), found)  # noqa: S102 - ours
    body = body_of("evt_1", EventType.JOB_CANCELLED, "ftjob-1")
    headers = signing.headers(event_id="evt_1", timestamp=int(time.time()), body=body, signing_secrets=[SECRET])
    with TestClient(found["app"]) as client:
        answers = [
            client.post("/hooks", headers=dict(headers), content=sent).json() for sent in (body, body, body + " ")
        ]
    assert answers == [{"ok": True}, {"ok": True}, {"ok": False}]
    assert capsys.readouterr().out == "fine_tuning.job.cancelled ftjob-1\n"
