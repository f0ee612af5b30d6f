"""Endpoints as a service: what is sealed, what is checked, what is on record."""

import base64
import secrets

import pytest

from core.audit import service as audit
from core.backends.mail import RecordingMailer
from core.db.session import SYSTEM, Database, workspace_scope
from core.errors import Conflict, Invalid, NotFound
from core.kit.pagination import PageRequest
from core.kit.sealing import KEY_BYTES, Sealer, Unsealable
from core.webhooks import notices, service
from core.webhooks.service import MAX_ENDPOINTS
from core.webhooks.types import DisabledReason, EventType
from core.workspaces.roles import Role
from tests.conftest import make_principal
from tests.core.webhooks.conftest import SEALER, Outbox

pytestmark = pytest.mark.stack


def test_the_secret_is_sealed_where_it_lies(outbox: Outbox) -> None:
    endpoint = outbox.endpoint()
    secret = service.secret_of(endpoint, SEALER)
    assert secret.startswith("whsec_")
    assert secret not in repr(vars(endpoint))
    assert endpoint.secret_hint == f"whsec_…{secret.rstrip('=')[-4:]}"
    with pytest.raises(Unsealable):
        service.secret_of(outbox.endpoint(), Sealer.of_settings("", "another"))


def test_secrets_are_sealed_anew_when_the_key_is_changed(outbox: Outbox) -> None:
    endpoint = outbox.endpoint()
    secret = service.secret_of(endpoint, SEALER)
    with outbox.database.session(SYSTEM) as session:
        service.rotate_secret(
            session, principal=outbox.principal, endpoint_id=endpoint.id, keeps_old=True, sealer=SEALER
        )
    key = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    both = Sealer({**Sealer.of_settings(f"new:{key}", "").keys, **SEALER.keys})
    for expected in (2, 0):
        with outbox.database.session(SYSTEM) as session:
            assert service.reseal(session, both) == expected
    only_new = Sealer.of_settings(f"new:{key}", "")
    found = outbox.look(endpoint)
    assert found.old_secret_sealed is not None
    assert only_new.open(found.old_secret_sealed, context=f"webhook_endpoint {endpoint.id}") == secret
    assert service.secret_of(found, only_new) != secret


def test_a_workspace_has_so_many_and_no_more(outbox: Outbox) -> None:
    for _ in range(MAX_ENDPOINTS):
        outbox.endpoint()
    with pytest.raises(Conflict) as refused:
        outbox.endpoint()
    assert refused.value.error_code == "too_many_webhooks"


@pytest.mark.parametrize(
    ("changes", "code"), [({"name": "  "}, "invalid_name"), ({"event_types": []}, "no_event_types")]
)
def test_what_cannot_be_is_refused(outbox: Outbox, changes: dict[str, object], code: str) -> None:
    endpoint = outbox.endpoint()
    with pytest.raises(Invalid) as refused:
        outbox.change(endpoint, **changes)
    assert refused.value.error_code == code


def test_a_change_that_changes_nothing_leaves_no_trace(outbox: Outbox) -> None:
    endpoint = outbox.endpoint(EventType.JOB_FAILED)
    same = outbox.change(endpoint, name="ours", event_types=[EventType.JOB_FAILED], disabled=False)
    assert same.updated_at == endpoint.updated_at
    changed = outbox.change(endpoint, name="theirs", url="https://example.com/other?token=1")
    assert changed.updated_at > endpoint.updated_at
    outbox.change(endpoint, disabled=True)
    outbox.change(endpoint, disabled=True)
    outbox.change(endpoint, disabled=False)
    with outbox.database.session(SYSTEM) as session:
        events = audit.list_events(session, workspace_id=outbox.principal.workspace_id, page=PageRequest()).items
    assert [event.action.removeprefix("webhook_endpoint.") for event in reversed(events)] == [
        "created",
        "updated",
        "disabled",
        "enabled",
    ]
    assert "token" not in str([event.details for event in events]), "an address may hold a secret"


def test_switched_on_again_the_past_is_forgotten(outbox: Outbox) -> None:
    endpoint = outbox.endpoint()
    outbox.change(endpoint, disabled=True)
    on = outbox.change(endpoint, disabled=False)
    assert (on.disabled_at, on.disabled_reason, on.failing_since, on.held_until) == (None, None, None, None)


def test_nobody_elses_can_be_touched(outbox: Outbox, database: Database, other_workspace_id: str) -> None:
    endpoint = outbox.endpoint()
    other = Outbox(database, make_principal(database, other_workspace_id, Role.ADMIN))
    with pytest.raises(NotFound):
        other.change(endpoint, name="mine")
    with pytest.raises(NotFound), database.session(SYSTEM) as session:
        service.remove(session, principal=other.principal, endpoint_id=endpoint.id)


def test_every_admin_is_told_by_mail_and_nobody_else(outbox: Outbox, database: Database) -> None:
    endpoint = outbox.endpoint(name="Claims desk")
    workspace_id = outbox.principal.workspace_id
    make_principal(database, workspace_id, Role.ADMIN)
    make_principal(database, workspace_id, Role.MEMBER)
    mailer = RecordingMailer()
    with database.session(workspace_scope(workspace_id)) as session:
        notices.tell_switched_off(
            session,
            workspace_id=workspace_id,
            endpoint_id=endpoint.id,
            reason=DisabledReason.FAILING,
            mailer=mailer,
            public_url="https://tune.example.com/",
        )
        assert mailer.sent == [], "not before it is so"
    assert len({mail.to for mail in mailer.sent}) == len(mailer.sent) == 2
    assert all(mail.to.startswith("admin") for mail in mailer.sent)
    assert mailer.sent[0].subject == "Webhook switched off: Claims desk"
    assert f"https://tune.example.com/settings/webhooks/{endpoint.id}\n" in mailer.sent[0].text
