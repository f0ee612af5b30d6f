"""As the owner of the tables, with the guard of the database off: whatever is done to the log, verify names where."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from core import cli
from core.audit import service
from core.audit.chain import GENESIS, Walk, next_hash, plain_details
from core.audit.types import INSTALLATION, Anchor, Fault, Link
from core.config import Settings
from core.db.session import SYSTEM, Database, workspace_scope
from core.workspaces.principal import Principal

NUM_EVENTS = 6

Tamper = Callable[[Connection], None]


def sql(statement: str) -> Tamper:
    return lambda connection: [connection.execute(text(part)) for part in statement.split(";")] and None


def forge(connection: Connection) -> None:
    """A new last event, hashed as well as one can who knows the code, but not entered in the end of the chain."""
    connection.execute(
        text(
            "insert into audit_events select id || 'x', workspace_id, actor_user_id, actor_api_key_id, actor_name, "
            "action, target_id, details, created_at, null, null, null, hash, sequence + 1 from audit_events "
            "where sequence = 6"
        )
    )


@pytest.fixture
def chained(database: Database, principal: Principal) -> Principal:
    """Six events of one workspace, and one of the installation."""
    for number in range(1, NUM_EVENTS + 1):
        with database.session(workspace_scope(principal.workspace_id)) as session:
            details = {"n": number, "share": 1.0, "tiny": 1e-7, "huge": 1e22, "name": "Zoë", "list": [{"b": 1, "a": 2}]}
            service.record(session, principal=principal, action="thing.made", target_id=f"t{number}", details=details)
    with database.session(SYSTEM) as session:
        service.record_above(session, principal=principal, action="admin.looked", target_id="x")
    return principal


def tampered(engine: Engine, tamper: Tamper) -> None:
    with engine.begin() as connection:
        connection.execute(text("select set_config('app.scope', 'system', true)"))
        connection.execute(text("alter table audit_events disable trigger append_only"))
        tamper(connection)
        connection.execute(text("alter table audit_events enable trigger append_only"))


@pytest.mark.stack
class TestVerify:
    def test_an_untouched_chain_is_whole_from_its_first_event_on(self, database: Database, chained: Principal) -> None:
        with database.session(SYSTEM) as session:
            found = service.verify(session, chain_id=chained.workspace_id)
            above = service.verify(session, chain_id=INSTALLATION)
            ids = service.chain_ids(session)
        assert (found.first_break, found.sequence, found.num_checked, found.first_sequence) == (None, 6, 6, 1)
        assert found.since is not None
        assert (above.first_break, above.num_checked) == (None, 1)
        assert set(ids) == {chained.workspace_id, INSTALLATION}

    def test_of_a_long_chain_the_newest_part_can_be_checked_alone(self, database: Database, chained: Principal) -> None:
        with database.session(workspace_scope(chained.workspace_id)) as session:
            found = service.verify(session, chain_id=chained.workspace_id, max_events=2)
        assert (found.first_break, found.first_sequence, found.num_checked, found.sequence) == (None, 5, 2, 6)

    def test_a_chain_without_events_is_whole(self, database: Database, principal: Principal) -> None:
        with database.session(SYSTEM) as session:
            found = service.verify(session, chain_id=principal.workspace_id)
        assert (found.first_break, found.sequence, found.hash) == (None, 0, GENESIS)

    @pytest.mark.parametrize(
        ("tamper", "sequence", "fault"),
        [
            (sql("update audit_events set actor_name = 'Somebody else' where sequence = 3"), 3, Fault.CHANGED),
            (sql("update audit_events set details = '{}' where sequence = 1"), 1, Fault.CHANGED),
            (sql("update audit_events set created_at = now() where sequence = 6"), 6, Fault.CHANGED),
            (sql("update audit_events set client_address = '1.1.1.1' where sequence = 2"), 2, Fault.CHANGED),
            (sql("update audit_events set hash = repeat('a', 64) where sequence = 4"), 4, Fault.CHANGED),
            (sql("delete from audit_events where sequence = 3"), 3, Fault.MISSING),
            (sql("delete from audit_events where sequence = 1 and workspace_id is not null"), 1, Fault.MISSING),
            (sql("delete from audit_events where sequence = 6"), 6, Fault.CUT_OFF),
            (sql("delete from audit_events where sequence > 1"), 2, Fault.CUT_OFF),
            (sql("delete from audit_events where workspace_id is not null"), 1, Fault.CUT_OFF),
            # renumbered, so that there is no gap
            (
                sql(
                    "delete from audit_events where sequence = 3;"
                    "update audit_events set sequence = -sequence + 1 where sequence > 3;"
                    "update audit_events set sequence = -sequence where sequence < 0"
                ),
                3,
                Fault.CHANGED,
            ),
            # 2 and 5 in each other's place
            (
                sql(
                    "update audit_events set sequence = 7 - sequence + 100 where sequence in (2, 5);"
                    "update audit_events set sequence = sequence - 100 where sequence > 100"
                ),
                2,
                Fault.CHANGED,
            ),
            (forge, 7, Fault.CHANGED),
            (sql("update audit_chains set sequence = 5 where workspace_id is not null"), 6, Fault.UNKNOWN),
            (sql("delete from audit_chains where workspace_id is not null"), 1, Fault.UNKNOWN),
        ],
    )  # fmt: skip
    def test_it_names_the_first_place_that_does_not_fit(
        self, database: Database, owner_engine: Engine, chained: Principal, tamper: Tamper, sequence: int, fault: Fault
    ) -> None:
        tampered(owner_engine, tamper)
        with database.session(SYSTEM) as session:
            found = service.verify(session, chain_id=chained.workspace_id).first_break
        assert found is not None
        assert (found.sequence, found.fault) == (sequence, fault)

    def test_a_chain_that_was_rewritten_whole_is_known_by_a_hash_that_was_noted_elsewhere(
        self, database: Database, owner_engine: Engine, chained: Principal
    ) -> None:
        with database.session(SYSTEM) as session:
            noted = service.verify(session, chain_id=chained.workspace_id)
        anchor = Anchor(noted.sequence, noted.hash)
        tampered(owner_engine, lambda connection: rewrite(connection, chained.workspace_id))
        with database.session(SYSTEM) as session:
            alone = service.verify(session, chain_id=chained.workspace_id)
            with_anchor = service.verify(session, chain_id=chained.workspace_id, anchors=[anchor]).first_break
        assert alone.first_break is None
        assert with_anchor is not None
        assert (with_anchor.sequence, with_anchor.fault) == (6, Fault.REPLACED)

    def test_a_chain_that_was_cut_with_its_end_is_known_by_a_hash_that_was_noted_elsewhere(
        self, database: Database, owner_engine: Engine, chained: Principal
    ) -> None:
        with database.session(SYSTEM) as session:
            noted = service.verify(session, chain_id=chained.workspace_id)
        tampered(
            owner_engine,
            sql(
                "delete from audit_events where sequence > 2;"
                "update audit_chains set (sequence, hash) = (select sequence, hash from audit_events "
                "where sequence = 2) where workspace_id is not null"
            ),
        )
        with database.session(SYSTEM) as session:
            found = service.verify(
                session, chain_id=chained.workspace_id, anchors=[Anchor(noted.sequence, noted.hash)]
            ).first_break
        assert found is not None
        assert (found.sequence, found.fault) == (3, Fault.CUT_OFF)


@pytest.mark.stack
def test_writers_of_one_workspace_at_once_make_one_chain_without_gaps(database: Database, principal: Principal) -> None:
    def write(number: int) -> None:
        for turn in range(10):
            with database.session(workspace_scope(principal.workspace_id)) as session:
                service.record(session, principal=principal, action="thing.made", target_id=f"{number}.{turn}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.session(SYSTEM) as session:
        found = service.verify(session, chain_id=principal.workspace_id)
    assert (found.first_break, found.num_checked) == (None, 40)


@pytest.mark.stack
def test_one_workspace_does_not_wait_for_another_nor_for_who_has_not_come_to_commit(
    database: Database, principal: Principal, other_workspace_id: str
) -> None:
    def record_in(workspace_id: str, target: str) -> None:
        with database.session(workspace_scope(workspace_id)) as session:
            session.execute(text("set local lock_timeout = '1s'"))
            there = Principal(workspace_id, principal.user_id, principal.role, "Ana")
            service.record(session, principal=there, action="thing.made", target_id=target)

    with database.session(workspace_scope(principal.workspace_id)) as session:
        service.record(session, principal=principal, action="thing.made", target_id="long")
        record_in(other_workspace_id, "other")
        record_in(principal.workspace_id, "same")
    with database.session(SYSTEM) as session:
        targets = session.execute(
            text("select target_id from audit_events where workspace_id = :id order by sequence"),
            {"id": principal.workspace_id},
        ).scalars()
        assert list(targets) == ["same", "long"]


@pytest.mark.stack
class TestCommand:
    def test_it_says_for_each_chain_that_it_is_unbroken(
        self,
        settings: Settings,
        chained: Principal,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", settings.database_url)
        assert cli.main(["audit", "verify"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 2
        assert all(" unbroken since " in line for line in lines)
        assert [line.partition(":")[0] for line in lines] == sorted([chained.workspace_id, INSTALLATION])

    def test_it_fails_and_names_the_broken_place(
        self,
        settings: Settings,
        owner_engine: Engine,
        chained: Principal,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", settings.database_url)
        tampered(owner_engine, sql("update audit_events set action = 'nothing.happened' where sequence = 4"))
        assert cli.main(["audit", "verify", "--chain", chained.workspace_id]) == 1
        assert f"{chained.workspace_id}: BROKEN at event 4 (aud_" in capsys.readouterr().err

    def test_an_anchor_is_what_an_earlier_check_printed(
        self,
        settings: Settings,
        chained: Principal,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", settings.database_url)
        command = ["audit", "verify", "--chain", chained.workspace_id]
        cli.main(command)
        printed = capsys.readouterr().out.split()[-1]
        assert cli.main([*command, "--anchor", printed]) == 0
        assert cli.main([*command, "--anchor", f"3:{'a' * 64}"]) == 1
        assert "not the one whose hash was noted" in capsys.readouterr().err
        assert cli.main(["audit", "verify", "--anchor", printed]) == 1


class TestWalk:
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_details_are_hashed_as_they_are_read_back(self, value: object) -> None:
        """Postgres keeps numbers as decimals: a whole one comes back as an integer, whatever it was."""
        details = plain_details({"value": value})
        assert next_hash(GENESIS, link(details)) == next_hash(GENESIS, link(through_decimals(details)))

    def test_one_character_makes_another_hash(self) -> None:
        assert next_hash(GENESIS, link({"a": 1})) != next_hash(GENESIS, link({"a": 2}))
        assert next_hash(GENESIS, link({})) != next_hash("1" * 64, link({}))

    def test_it_stops_at_the_first_fault(self) -> None:
        walk = Walk(after_sequence=0, after_hash=GENESIS)
        walk.take(link({}), "wrong")
        walk.take(link({}), "wrong")
        walk.arrive(head_sequence=9, head_hash="x")
        assert walk.first_break is not None
        assert (walk.first_break.sequence, walk.first_break.fault) == (1, Fault.CHANGED)


def link(details: dict[str, object]) -> Link:
    return Link(
        "ws_1", 1, "aud_1", datetime(2026, 1, 2, tzinfo=UTC), "ws_1", "user_1", None, "Ana", "thing.made", "t", None,
        None, None, details,
    )  # fmt: skip


def through_decimals(value: object) -> dict[str, object]:
    def back(item: object) -> object:
        if isinstance(item, float):
            return int(item) if item.is_integer() and abs(item) >= 1e16 else item
        if isinstance(item, dict):
            return {key: back(inner) for key, inner in item.items()}
        return [back(inner) for inner in item] if isinstance(item, list) else item

    found = back(value)
    assert isinstance(found, dict)
    return found


def rewrite(connection: Connection, workspace_id: str) -> None:
    """What somebody does who has the database and the code: another story, hashed anew from the first event on."""
    connection.execute(text("update audit_events set actor_name = 'Nobody' where sequence = 2"))
    digest = GENESIS
    columns = (
        "sequence, id, created_at, workspace_id, actor_user_id, actor_api_key_id, actor_name, action, target_id, "
        "request_id, client_address, user_agent, details"
    )
    rows = connection.execute(
        text(f"select {columns} from audit_events where workspace_id = :id order by sequence"), {"id": workspace_id}
    ).all()
    for row in rows:
        digest = next_hash(digest, Link(workspace_id, *row))
        connection.execute(text("update audit_events set hash = :hash where id = :id"), {"hash": digest, "id": row.id})
    connection.execute(
        text("update audit_chains set hash = :hash where id = :id"), {"hash": digest, "id": workspace_id}
    )
