from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from core.db.session import SYSTEM, Database
from core.errors import Unauthenticated
from core.identity.oidc import flows
from core.identity.oidc.flows import FlowSecrets

pytestmark = pytest.mark.stack


def begun(database: Database) -> FlowSecrets:
    with database.session(SYSTEM) as session:
        return flows.begin(session, return_to="/data")


def finished(database: Database, token: str | None, state: str) -> str:
    try:
        with database.session(SYSTEM) as session:
            return flows.finish(session, token=token, state=state)[0].return_to
    except Unauthenticated as refused:
        return refused.error_code


def test_what_a_browser_began_it_can_finish_once(database: Database) -> None:
    flow = begun(database)
    assert finished(database, flow.token, flow.state) == "/data"
    assert finished(database, flow.token, flow.state) == "oidc_flow_ended"


def test_of_many_that_come_back_at_once_one_finishes(database: Database) -> None:
    flow = begun(database)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: finished(database, flow.token, flow.state), range(6)))
    assert sorted(results) == ["/data", *["oidc_flow_ended"] * 5]


def test_another_browsers_flow_cannot_be_finished(database: Database) -> None:
    mine, theirs = begun(database), begun(database)
    assert finished(database, mine.token, theirs.state) == "oidc_state_mismatch"
    assert finished(database, None, theirs.state) == "oidc_state_mismatch"
    # and the mistake has spoiled nothing
    assert finished(database, theirs.token, theirs.state) == "/data"


def test_it_must_be_finished_within_minutes(database: Database, owner_engine: Engine) -> None:
    flow = begun(database)
    with owner_engine.begin() as connection:
        connection.execute(text("update oidc_flows set expires_at = now()"))
    assert finished(database, flow.token, flow.state) == "oidc_flow_ended"


def test_a_copied_table_holds_nothing_that_the_provider_was_sent(database: Database, owner_engine: Engine) -> None:
    flow = begun(database)
    with owner_engine.begin() as connection:
        kept = str(connection.execute(text("select * from oidc_flows")).all())
    for secret in (flow.token, flow.state, flow.nonce, flow.code_verifier):
        assert secret not in kept
    assert len({flow.token, flow.state, flow.nonce, flow.code_verifier}) == 4
