"""The unmodified `openai` client: endpoints, their secrets, a test, and the events of a real run unwrapped."""

from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai import OpenAI

from core.config import Settings
from core.db.session import SYSTEM, Database, workspace_scope
from core.jobs.types import Lease
from core.kit.sealing import Sealer
from core.webhooks import deliveries, sending
from tests.api.fine_tuning.conftest import claim, succeed
from tests.factories.receiver import Receiver, Reply
from tests.factories.training import make_version, put_base_model_on_disk

__all__ = ["claim", "succeed"]

pytestmark = pytest.mark.stack

ALL = ["fine_tuning.job.succeeded", "fine_tuning.job.failed", "fine_tuning.job.cancelled"]


def extra(found: Any, name: str) -> Any:  # noqa: ANN401 - any JSON
    return found.model_extra[name]


def unwrap(secret: str, hooks: Receiver, number: int = -1) -> Any:  # noqa: ANN401 - one of many events
    received = hooks.requests[number]
    return OpenAI(api_key="none", webhook_secret=secret).webhooks.unwrap(received.body, received.headers)


@pytest.fixture
def courier(database: Database, settings: Settings, backends: Any) -> Callable[[], int]:  # noqa: ANN401
    """Send what is due, as a worker does; how many that were."""
    sealer = Sealer.of_settings(settings.encryption_keys, settings.secret_key)

    def _deliver() -> int:
        with database.session(SYSTEM) as session:
            parcels = deliveries.claim(session, num=100)
        for parcel in parcels:
            outcome = sending.send(parcel, outbound=backends.outbound, sealer=sealer)
            with database.session(workspace_scope(parcel.workspace_id)) as session:
                deliveries.record(session, parcel, outcome)
        return len(parcels)

    return _deliver


def test_an_endpoint_is_made_read_changed_listed_and_deleted(ai: OpenAI, hooks: Receiver) -> None:
    assert ai.webhooks.event_types.list().data == ALL
    made = ai.webhooks.create(name="ours", url=hooks.url, event_types=["fine_tuning.job.failed"])
    assert (made.object, made.name, made.url) == ("webhook_endpoint", "ours", hooks.url)
    assert made.event_types == ["fine_tuning.job.failed"]
    assert made.signing_secret.startswith("whsec_")
    assert made.updated_at == made.created_at
    found = ai.webhooks.retrieve(made.id)
    assert found.signing_secret_hint == made.signing_secret_hint
    assert "signing_secret" not in (found.model_extra or {})
    assert made.signing_secret not in found.to_json()
    changed = ai.webhooks.update(made.id, name="theirs", event_types=["fine_tuning.job.cancelled"])
    assert (changed.name, changed.event_types, changed.url) == ("theirs", ["fine_tuning.job.cancelled"], hooks.url)
    others = [ai.webhooks.create(name=str(n), url=hooks.url, event_types=["fine_tuning.job.failed"]) for n in range(2)]
    listed = [one.id for one in ai.webhooks.list(limit=1)]
    assert listed == [others[1].id, others[0].id, made.id], "newest first, over several pages"
    gone = ai.webhooks.delete(made.id)
    assert (gone.id, gone.deleted, gone.object) == (made.id, True, "webhook_endpoint.deleted")
    with pytest.raises(openai.NotFoundError) as missing:
        ai.webhooks.retrieve(made.id)
    assert missing.value.code == "webhook_endpoint_not_found"


def test_an_event_that_is_not_sent_here_is_refused_by_name(ai: OpenAI, hooks: Receiver) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ai.webhooks.create(name="ours", url=hooks.url, event_types=["fine_tuning.job.failed", "batch.completed"])
    assert refused.value.param == "event_types.1"
    for known in ALL:
        assert known in refused.value.message


def test_a_test_sends_a_signed_sample_and_tells_what_was_answered(ai: OpenAI, hooks: Receiver) -> None:
    made = ai.webhooks.create(name="ours", url=hooks.url, event_types=["fine_tuning.job.failed"])
    hooks.script = lambda _: Reply(418, b"a teapot; password=x")
    result = ai.webhooks.test(made.id, event_type="fine_tuning.job.succeeded")
    assert (result.success, result.status_code, result.webhook_endpoint_id) == (True, 418, made.id)
    assert (result.object, result.event_type) == ("webhook_endpoint.test", "fine_tuning.job.succeeded")
    assert extra(result, "answer") == "a teapot; password=[redacted]"
    event = unwrap(made.signing_secret, hooks)
    assert (event.type, event.data.id) == ("fine_tuning.job.succeeded", "ftjob-test")
    after = ai.webhooks.retrieve(made.id)
    assert (after.updated_at, extra(after, "failing_since")) == (made.updated_at, None)


def test_a_changed_secret_leaves_the_old_one_valid_only_if_asked(ai: OpenAI, hooks: Receiver) -> None:
    made = ai.webhooks.create(name="ours", url=hooks.url, event_types=["fine_tuning.job.failed"])

    def opened_by(*secrets: str) -> list[bool]:
        ai.webhooks.test(made.id, event_type="fine_tuning.job.failed")
        found = []
        for secret in secrets:
            try:
                unwrap(secret, hooks)
            except openai.InvalidWebhookSignatureError:
                found.append(False)
            else:
                found.append(True)
        return found

    second = ai.webhooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=True)
    assert second.signing_secret != made.signing_secret
    assert opened_by(made.signing_secret, second.signing_secret) == [True, True]
    third = ai.webhooks.rotate_secret(made.id)
    assert opened_by(made.signing_secret, second.signing_secret, third.signing_secret) == [False, False, True]


def test_the_life_of_a_run_arrives(
    ai: OpenAI,
    hooks: Receiver,
    settings: Settings,
    database: Database,
    workspace_id: str,
    claim: Callable[[], Lease],
    succeed: Callable[[Lease], str],
    courier: Callable[[], int],
) -> None:
    made = ai.webhooks.create(name="ours", url=hooks.url, event_types=["fine_tuning.job.succeeded"])
    other = ai.webhooks.create(name="other", url=hooks.url, event_types=["fine_tuning.job.cancelled"])
    model = put_base_model_on_disk(settings)
    with database.session(workspace_scope(workspace_id)) as session:
        version_id = make_version(session, workspace_id).id
    jobs = [
        ai.fine_tuning.jobs.create(
            model=model, training_file="", extra_body={"training_file": None, "dataset_version_id": version_id}, seed=n
        )
        for n in range(2)
    ]
    lease = claim()
    tuned = succeed(lease)
    assert courier() == 1
    event = unwrap(made.signing_secret, hooks)
    assert event.type == "fine_tuning.job.succeeded"
    assert ai.fine_tuning.jobs.retrieve(event.data.id).fine_tuned_model == tuned
    waiting = next(job for job in jobs if job.id != event.data.id)
    ai.fine_tuning.jobs.cancel(waiting.id)
    assert courier() == 1
    event = unwrap(other.signing_secret, hooks)
    assert (event.type, event.data.id) == ("fine_tuning.job.cancelled", waiting.id)
    assert courier() == 0
