"""Everything that is kept, with a person's words in every place where there may be some."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import ColumnElement, Text, func, select, text, update
from sqlalchemy.orm import Session

from core.adapters import service as adapters
from core.config import Settings
from core.datasets.models import Dataset, DatasetVersion
from core.datasets.types import VersionStatus
from core.db.session import SYSTEM, Database, workspace_scope
from core.erasures.coverage import KEPT, NAMED, Attribute, Kept
from core.erasures.masks import Mask, Under, pairs
from core.erasures.texts.repository import TextsRepository
from core.erasures.types import COUNTS, ByHandKind
from core.erasures.words import ERASED
from core.idempotency.models import IdempotencyKey
from core.jobs.models import JobAttempt, JobEvent, JobLog
from core.jobs.types import EventLevel, EventType
from core.serving.aliases.models import Alias, PromptProfile, ShadowAnswer
from core.tables import metadata
from core.training.models import RunMetadata
from core.webhooks.models import WebhookAttempt
from core.workspaces import service as workspaces
from core.workspaces.models import Invitation
from core.workspaces.principal import Principal
from tests.api.seeded import Things, seed
from tests.conftest import Headers

pytestmark = pytest.mark.stack

NAME = "Ada Lovelace"
SAID = f"Ask {NAME.upper()}.csv"
Owner = tuple[str, Things]


@pytest.fixture
def owners(
    client: TestClient,
    database: Database,
    settings: Settings,
    as_admin: Headers,
    as_stranger: Headers,
    principal: Principal,
    other_workspace_id: str,
) -> list[Owner]:
    """Two workspaces with one of everything; first the one that forgets the person."""
    made = []
    for workspace_id, headers in ((principal.workspace_id, as_admin), (other_workspace_id, as_stranger)):
        things = seed(
            client, database, settings, headers=headers, workspace_id=workspace_id, worker=f"w-{workspace_id[-8:]}"
        )
        with database.session(SYSTEM) as session:
            _fill(session, workspace_id, things)
        made.append((workspace_id, things))
    return made


def _fill(session: Session, workspace_id: str, things: Things) -> None:
    """What no request makes at once; and of what is told apart by its state, one that is over."""
    alias_id = session.scalars(select(Alias.id).where(Alias.workspace_id == workspace_id)).one()
    own: dict[str, Any] = {"workspace_id": workspace_id}
    session.add_all(
        [
            JobLog(**own, job_id=things.job, attempt=1, text="Loading"),
            JobAttempt(**own, job_id=things.job, attempt=1, worker_id="w-1"),
            JobEvent(
                **own,
                id=f"ev-{workspace_id}",
                job_id=things.job,
                attempt=1,
                level=EventLevel.INFO,
                type=EventType.MESSAGE,
                message="Started",
            ),
            WebhookAttempt(**own, id=f"att-{workspace_id}", delivery_id=things.delivery, duration_ms=1),
            IdempotencyKey(**own, route="POST /v1/x", key="1", request_sha256="0" * 64, answer={}),
            PromptProfile(
                **own,
                id=f"prf-{workspace_id}",
                alias_id=alias_id,
                version=1,
                system_prompt="Be kind.",
                sampling={},
                note="",
            ),
            RunMetadata(**own, run_id=things.run, key="team", value="north"),
            ShadowAnswer(
                **own,
                id=f"shd-{workspace_id}",
                alias_id=alias_id,
                completion_id=things.completion,
                release=1,
                question="?",
                shown_model="m",
                shown_text="!",
                model="m",
                seconds=1.0,
                tokens=1,
            ),
        ]
    )
    _bring(session, workspace_id)
    dataset, other = session.scalars(select(Dataset).where(Dataset.workspace_id == workspace_id).limit(2)).all()
    dataset.deleted_at, other.name = func.now(), SAID
    version = session.scalars(select(DatasetVersion).where(DatasetVersion.dataset_id == dataset.id).limit(1)).one()
    version.status = VersionStatus.FAILED
    invitation = session.get_one(Invitation, things.invitation)
    invitation.revoked_at = func.now()


def _bring(session: Session, workspace_id: str) -> None:
    """A model made elsewhere, whose id holds the name."""
    adapters.register(
        session,
        workspace_id=workspace_id,
        workspace_slug=workspaces.get_workspace(session, workspace_id=workspace_id).slug,
        run_id=None,
        created_by=None,
        name="Brought",
        suffix=NAME,
        base_model="smollm2-135m-instruct",
        method="lora",
        quantization=None,
        digest="d" * 64,
        key_prefix="none",
        files=[],
        spec={},
        metrics={},
        lineage={"import_id": "import_1"},
    )


def _rows_of(kept: Kept, workspace_id: str) -> list[ColumnElement[bool]]:
    return [kept.table.workspace_id == workspace_id, *([] if kept.only is None else [kept.only])]


def _planted(column: Attribute, mask: Mask) -> object:
    """Words as this column can have them."""
    if isinstance(column.type, Text):
        # what tells them apart stays
        return func.concat(SAID, " ", column)
    if isinstance(mask, Under):
        return {"id": "0", **{name: _under(inner) for name, inner in mask.by_name.items()}}
    return {"note": SAID}


def _under(mask: Mask) -> object:
    return {"for": SAID} if mask is pairs else SAID


def _plant(session: Session, workspace_id: str) -> None:
    for kept in KEPT:
        for column, mask in kept.words:
            changed = update(kept.table).where(*_rows_of(kept, workspace_id))
            if column.key == "lineage":
                changed = changed.where(column.is_not(None))
            values: dict[Any, object] = {column: _planted(column, mask)}
            num = session.execute(changed.values(values).returning(kept.table.workspace_id)).all()
            assert num, f"nothing was seeded in {column}: see _fill"


def _where_told(database: Database, workspace_id: str) -> set[str]:
    """The columns of all tables that have the name in them."""
    found = set()
    with database.session(workspace_scope(workspace_id)) as session:
        for table in metadata.sorted_tables:
            for row in session.execute(text(f'select to_jsonb(r) as row from "{table.name}" r')):
                found |= {f"{table.name}.{name}" for name, value in row.row.items() if _tells(value)}
    return found


def _tells(value: object) -> bool:
    return NAME.lower() in str(value).lower()


def _forget(database: Database, workspace_id: str) -> None:
    """In the system's scope, so that row-level security does not stand in for what the queries say."""
    for kept in KEPT:
        is_done = False
        while not is_done:
            with database.session(SYSTEM) as session:
                is_done = TextsRepository(session, workspace_id, [NAME]).take_out(kept)


def test_they_are_counted_and_gone_from_every_table_of_that_workspace_alone(
    database: Database, owners: list[Owner]
) -> None:
    (ours, _), (theirs, _) = owners
    with database.session(SYSTEM) as session:
        for workspace_id in (ours, theirs):
            _plant(session, workspace_id)
    columns = [column.property.columns[0] for kept in KEPT for column, _ in kept.words]
    planted = {f"{column.table.name}.{column.name}" for column in columns}
    told_there = _where_told(database, theirs)
    assert _where_told(database, ours) == told_there == planted
    with database.session(workspace_scope(ours)) as session:
        counts = TextsRepository(session, ours, [NAME]).counts()
    assert {name for name in COUNTS if not counts.get(name)} == {"num_preferences", "num_drafts"}
    _forget(database, ours)
    # what is there to be changed by hand
    assert _where_told(database, ours) == {"datasets.name"}
    assert _where_told(database, theirs) == told_there
    with database.session(workspace_scope(ours)) as session:
        assert set(TextsRepository(session, ours, [NAME]).counts().values()) == {0}


def test_what_holds_none_of_them_stays_as_it_is(database: Database, owners: list[Owner]) -> None:
    (ours, _), _ = owners

    def everything() -> list[str]:
        tables = {kept.table.__tablename__ for kept in KEPT}
        with database.session(workspace_scope(ours)) as session:
            return [
                str(row.row)
                for name in sorted(tables)
                for row in session.execute(text(f'select to_jsonb(r) as row from "{name}" r order by 1::text'))
            ]

    before = everything()
    _forget(database, ours)
    assert everything() == before


def test_what_somebody_must_change_is_named_also_where_it_is_part_of_an_id(
    database: Database, owners: list[Owner]
) -> None:
    (ours, _), (theirs, _) = owners
    with database.session(SYSTEM) as session:
        session.execute(text("update aliases set name = 'ask-ada-lovelace' where workspace_id = :w"), {"w": ours})
        session.execute(text("update webhook_endpoints set url = 'https://x.io/?Ada Lovelace'"))
        session.execute(text("update workspaces set name = 'Of Ada Lovelace'"))
        session.execute(text("update prompt_profiles set note = 'ADA LOVELACE'"))
        session.execute(text("update invitations set email = 'ada lovelace', revoked_at = null"))
    with database.session(workspace_scope(ours)) as session:
        texts = TextsRepository(session, ours, [NAME])
        found = texts.named()
        names = {named.kind: texts.names(named, [one.id for one in found if one.kind is named.kind]) for named in NAMED}
    assert {one.kind for one in found} == set(ByHandKind) - {ByHandKind.IMPORTED_MODEL}
    assert [list(names[kind].values()) for kind in (ByHandKind.DATASET_NAME, ByHandKind.ALIAS_NAME)] == [
        [SAID],
        ["ask-ada-lovelace"],
    ]
    [model_id] = names[ByHandKind.MODEL_ID]
    assert ":Ada-Lovelace:" in model_id
    assert [one.id for one in found if one.kind is ByHandKind.WORKSPACE_NAME] == [ours]
    assert theirs not in {one.id for one in found}


class TestLogs:
    def _printed(self, database: Database, owner: Owner, *texts: str, attempt: int = 3) -> None:
        workspace_id, things = owner
        with database.session(SYSTEM) as session:
            for said in texts:
                session.add(JobLog(workspace_id=workspace_id, job_id=things.job, attempt=attempt, text=said))
                session.flush()

    def _left(self, database: Database, owner: Owner) -> list[str]:
        _forget(database, owner[0])
        with database.session(workspace_scope(owner[0])) as session:
            return list(session.scalars(select(JobLog.text).where(JobLog.attempt >= 3).order_by(JobLog.seq)))

    def test_a_name_that_is_torn_apart_is_found_and_all_its_pieces_go(
        self, database: Database, owners: list[Owner]
    ) -> None:
        self._printed(database, owners[0], "row 1\nrow 2: A", "da", " Lovelace\nrow 3\n", "row 4\n")
        with database.session(workspace_scope(owners[0][0])) as session:
            assert TextsRepository(session, owners[0][0], [NAME]).counts()["num_job_texts"] == 3
        assert self._left(database, owners[0]) == [ERASED, ERASED, ERASED, "row 4\n"]

    def test_what_two_attempts_printed_makes_no_name(self, database: Database, owners: list[Owner]) -> None:
        self._printed(database, owners[0], "Ada ")
        self._printed(database, owners[0], "Lovelace", attempt=4)
        assert self._left(database, owners[0]) == ["Ada ", "Lovelace"]
