from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from core.base_models.service import default_base_model
from core.db.session import Database, workspace_scope
from core.errors import Conflict
from core.serving.aliases import service as aliases
from core.serving.aliases.types import WHOLE, Arm, Plan
from core.workspaces.principal import Principal

pytestmark = pytest.mark.stack


def test_of_two_who_take_a_name_at_once_one_is_told_that_it_is_taken(database: Database, principal: Principal) -> None:
    plan = Plan(arms=(Arm(model=default_base_model().id, percent=WHOLE),))
    is_made, is_asked = Event(), Event()

    def first() -> None:
        with database.session(workspace_scope(principal.workspace_id)) as session:
            aliases.create(session, principal=principal, name="support-bot", plan=plan)
            is_made.set()
            # still open when the other one asks
            assert is_asked.wait(30)

    def second() -> None:
        assert is_made.wait(30)
        with database.session(workspace_scope(principal.workspace_id)) as session:
            is_asked.set()
            aliases.create(session, principal=principal, name="support-bot", plan=plan)

    with ThreadPoolExecutor() as threads:
        one, other = threads.submit(first), threads.submit(second)
        one.result()
        with pytest.raises(Conflict) as refused:
            other.result()
    assert refused.value.error_code == "alias_exists"
