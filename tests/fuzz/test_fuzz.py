"""The short run; `make fuzz` is the long one."""

import pytest

from core.backends.registry import Backends
from core.config import Settings
from core.db.session import Database
from tests.faults.recording import Record
from tests.fuzz.campaign import run
from tests.fuzz.target import make_target

pytestmark = pytest.mark.stack


@pytest.mark.drill(32)
@pytest.mark.fast_drill
def test_a_short_campaign_finds_nothing(
    settings: Settings, database: Database, backends: Backends, record_figure: Record
) -> None:
    target = make_target(settings, database, backends)
    findings = run(target.app, key=target.key, ids=target.ids, seed=1, max_examples=2, max_time_s=30)
    record_figure("cases", findings.total, times=findings.total)
    assert findings.total > 200
    assert not findings.failures, findings.describe()
    assert not findings.errors, findings.describe()
    assert findings.num_server_errors == 0, findings.describe()
