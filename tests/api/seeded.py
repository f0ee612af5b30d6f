"""One of every thing that a workspace can have, for tests that ask for them where they do not belong.

A route with a new parameter, or a body with a new field that takes an id, needs a thing here: a test says so.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta

from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.adapters import service as adapters
from core.base_models import service as base_models
from core.config import Settings
from core.db.session import SYSTEM, Database, workspace_scope
from core.exports.models import ModelExport
from core.identity import service as identity
from core.identity.oidc import service as oidc
from core.identity.oidc.provider import Claims
from core.jobs.kinds import QueueName
from core.jobs.models import Job
from core.jobs.states import JobState
from core.kit.clock import utc_now
from core.kit.ids import new_id
from core.serving.completions import service as completions
from core.training import service as training
from core.webhooks import service as webhooks
from core.webhooks.models import WebhookDelivery
from core.webhooks.types import EventType
from core.workers import service as workers
from core.workers import tokens
from core.workspaces import service as workspaces
from tests.api.routes_of import Route
from tests.factories.completions import new_completion
from tests.factories.training import health_with, make_version, put_base_model_on_disk

Headers = dict[str, str]

# the parameter of a path, and whose id it takes
PARAMETERS = {
    "file_id": "file",
    "dataset_id": "dataset",
    "version_id": "version",
    "scaling_study_id": "scaling_study",
    "erasure_id": "erasure",
    "export_id": "model_export",
    "model_import_id": "model_import",
    "fine_tuning_job_id": "run",
    "model": "model",
    "fine_tuned_model_checkpoint": "model",
    "permission_id": "permission",
    "upload_id": "upload",
    "import_id": "file_import",
    "column_mapping_id": "column_mapping",
    "user_id": "user",
    "key_id": "key",
    "account_id": "account",
    "invitation_id": "invitation",
    "session_id": "session",
    "identity_id": "identity",
    "completion_id": "completion",
    "preference_id": "preference",
    "alias_name": "alias",
    "webhook_endpoint_id": "webhook",
    "delivery_id": "delivery",
    "workspace_id": "workspace",
    "job_id": "job",
    "worker_id": "worker",
    "token_id": "worker_token",
}
# these are the same for everybody
OF_THE_INSTALLATION = {"sample_id": "reviews", "queue": "io", "number": "5", "code": "secret"}
# the field of a body, and whose id it takes
FIELDS = {
    "file_id": "file",
    "file_ids": "file",
    "training_file": "file",
    "validation_file": "file",
    "validation_dataset_version_id": "version",
    "dataset_version_id": "version",
    "version_id": "version",
    "before": "run",
    "service_account_id": "account",
    "workspace_id": "workspace",
    "part_ids": "part",
    "completion_ids": "completion",
}
# whom something is given to: it may be anybody
GIVEN_TO = frozenset({"project_ids"})
VOTE: dict[str, object] = {
    "messages": [{"role": "user", "content": "Hello?"}],
    "answers": [
        {"model": "smollm2-135m-instruct", "content": "Hello."},
        {"model": "ft:ours", "content": "Go away."},
    ],
    "verdict": "best",
    "best": 0,
    "is_blind": True,
}
# what a body needs beside an id; else it would be refused before anybody looks for the thing
BODIES: dict[str, dict[str, object]] = {
    "POST /v1/datasets/{dataset_id}/versions": {"mapping": {"question": "question", "answer": "answer"}},
    "POST /v1/dataset_versions/{version_id}/changes": {"changes": [{"type": "resplit", "strategy": "last"}]},
    "POST /v1/dataset_versions/{version_id}/findings/{code}/keep": {"ground": "mine"},
    "POST /v1/datasets/{dataset_id}/draft/changes": {
        "version_id": "dsv_none",
        "change": {"type": "resplit", "strategy": "last"},
    },
    "POST /v1/chat/completions/{completion_id}": {"metadata": {}},
    "POST /v1/preferences": VOTE,
    "POST /v1/model_imports": {"name": "mine", "base_model": "smollm2-135m-instruct"},
    "POST /v1/aliases": {"name": "mine", "model": "smollm2-135m-instruct"},
    "POST /v1/aliases/{alias_name}/releases": {"arms": [{"model": "smollm2-135m-instruct", "percent": 100}]},
    "POST /v1/aliases/{alias_name}/profiles": {"system_prompt": "mine now"},
    "POST /v1/aliases/{alias_name}/roll_back": {"release": 1},
    "PATCH /v1/datasets/{dataset_id}": {"name": "mine now"},
    "PATCH /v1/members/{user_id}": {"role": "viewer"},
    "POST /v1/api_keys": {"name": "mine"},
    "PATCH /v1/api_keys/{key_id}": {"name": "mine now"},
    "PATCH /v1/service_accounts/{account_id}": {"role": "viewer"},
    "PATCH /v1/workspaces/{workspace_id}": {"name": "mine now"},
    "POST /v1/fine_tuning/checkpoints/{fine_tuned_model_checkpoint:path}/permissions": {"project_ids": ["ws_none"]},
    "POST /v1/files/import": {"url": "https://example.com/rows.csv"},
    "POST /v1/uploads/{upload_id}/complete": {"part_ids": ["part_none"]},
    "POST /v1/fine_tuning/jobs": {"model": "smollm2-135m-instruct"},
    "POST /v1/fine_tuning/jobs/dry_run": {"model": "smollm2-135m-instruct", "seed": 7},
    "POST /v1/fine_tuning/jobs/{fine_tuning_job_id}/move": {"to": "front"},
    "POST /v1/webhook_endpoints/{webhook_endpoint_id}": {"name": "mine now"},
    "POST /v1/webhook_endpoints/{webhook_endpoint_id}/test": {"event_type": "fine_tuning.job.failed"},
    "PATCH /v1/admin/queues/{queue}/workspaces/{workspace_id}": {"max_running": 1},
    "PATCH /v1/admin/workspaces/{workspace_id}/storage": {"max_bytes": 1},
    "POST /v1/admin/workers/{worker_id}/drain": {"mode": "finish"},
    "POST /v1/admin/worker_tokens": {"name": "cellar"},
}


@dataclass(frozen=True, slots=True)
class Things:
    """Their ids."""

    workspace: str
    file: str
    upload: str
    file_import: str
    part: str
    column_mapping: str
    dataset: str
    version: str
    scaling_study: str
    erasure: str
    model_export: str
    model_import: str
    run: str
    job: str
    model: str
    permission: str
    user: str
    key: str
    account: str
    invitation: str
    session: str
    identity: str
    completion: str
    preference: str
    alias: str
    webhook: str
    delivery: str
    worker: str
    worker_token: str

    def ids(self) -> dict[str, str]:
        return {name: str(found) for name, found in asdict(self).items()}

    def unknown(self) -> "Things":
        """Ids that look as these do and that nothing has."""
        return Things(**{name: found[:-6] + "zzzzzz" for name, found in self.ids().items()})

    def url(self, route: Route, **others: str) -> str:
        """The route's path to these things; `others` are parameters with another id."""
        ids = {name: getattr(self, PARAMETERS[name]) for name in route.parameters if name in PARAMETERS}
        return route.url(OF_THE_INSTALLATION | ids | others)

    def in_field(self, field: str) -> object:
        """What a field of a body that takes this kind of id, or several, is given."""
        found = getattr(self, FIELDS[field])
        return [found] if field.endswith("_ids") else found

    def beside(self, field: str) -> dict[str, object]:
        """What a body needs so that the id in this field is looked at."""
        return {
            "validation_file": {"training_file": self.file},
            "validation_dataset_version_id": {"training_file": self.file},
            "before": {"to": None},
        }.get(field, {})


_UPLOAD = {"bytes": 4, "filename": "a.jsonl", "mime_type": "text/jsonl", "purpose": "fine-tune"}
_WEBHOOK = {"name": "ours", "url": "https://example.com/", "event_types": ["fine_tuning.job.failed"]}


def seed(
    client: TestClient, database: Database, settings: Settings, *, headers: Headers, workspace_id: str, worker: str
) -> Things:
    """One of each in the workspace whose admin sends `headers`; a run that waits, of data that is checked."""

    def made(path: str, body: Mapping[str, object] | None = None) -> str:
        answer = client.post(path, headers=headers, json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    model = base_models.default_base_model().id
    if not base_models.is_ready(settings, model):
        put_base_model_on_disk(settings)
    with database.session(workspace_scope(workspace_id)) as session:
        version_id = make_version(session, workspace_id, with_rows=True, health=health_with("secret")).id
    file_id = made(f"/v1/samples/{OF_THE_INSTALLATION['sample_id']}")
    run_id = made("/v1/fine_tuning/jobs", {"model": model, "dataset_version_id": version_id})
    keep = f"/v1/dataset_versions/{version_id}/findings/{OF_THE_INSTALLATION['code']}/keep"
    assert client.post(keep, headers=headers, json={"ground": "ours"}).status_code == 200
    dataset_id = made("/v1/datasets", {"file_id": file_id})
    invitation_id = made("/v1/invitations", {"email": "bo@example.com"})
    user_id = client.get("/v1/auth/session", headers=headers).json()["user"]["id"]
    upload_id = made("/v1/uploads", _UPLOAD)
    with database.session(SYSTEM) as session:
        model_id = _tuned_model(session, workspace_id=workspace_id, run_id=run_id)
        guest = workspaces.create_workspace(session, name="Guest", slug=f"guest-of-{workspace_id[-6:]}").id
    with database.session(SYSTEM) as session:
        workers.beat(session, worker_id=worker, hostname="h", queue_name=QueueName.CPU, pid=1, version="0")
        return Things(
            workspace=workspace_id,
            file=file_id,
            upload=upload_id,
            file_import=made("/v1/files/import", {"url": "https://example.com/rows.csv"}),
            part=_part(client, headers, upload_id),
            column_mapping=_chosen_columns(client, headers, file_id),
            dataset=dataset_id,
            version=version_id,
            scaling_study=made(f"/v1/dataset_versions/{version_id}/scaling_studies", {}),
            erasure=made("/v1/erasures", {"terms": ["no such person"]}),
            model_export=_packed(session, made("/v1/model_exports", {"model": model_id, "format": "adapter"})),
            model_import=made("/v1/model_imports", _brought(client, headers)),
            run=run_id,
            job=training.get(session, workspace_id=workspace_id, run_id=run_id).job.id,
            model=model_id,
            permission=_permission(client, headers, model_id, guest),
            user=user_id,
            key=made("/v1/api_keys", {"name": "ours"}),
            account=made("/v1/service_accounts", {"name": "ours"}),
            invitation=invitation_id,
            session=identity.open_session(session, user_id=user_id, max_s=3600).session.id,
            identity=_linked_identity(session, user_id),
            completion=_kept_completion(session, workspace_id),
            preference=made("/v1/preferences", VOTE),
            alias=_alias(client, headers, workspace_id, model),
            webhook=made("/v1/webhook_endpoints", _WEBHOOK),
            delivery=_delivery(session, workspace_id),
            worker=worker,
            worker_token=tokens.create_token(session, name="cellar", created_by=None)[0].id,
        )


def _part(client: TestClient, headers: Headers, upload_id: str) -> str:
    made = client.post(f"/v1/uploads/{upload_id}/parts", headers=headers, files={"data": b"four"})
    found: str = made.json()["id"]
    return found


def _chosen_columns(client: TestClient, headers: Headers, file_id: str) -> str:
    """By making a dataset with other columns than those proposed."""
    swapped = {"question": "answer", "answer": "question"}
    client.post("/v1/datasets", headers=headers, json={"file_id": file_id, "mapping": swapped})
    found: str = client.get("/v1/column_mappings", headers=headers).json()["data"][0]["id"]
    return found


def _alias(client: TestClient, headers: Headers, workspace_id: str, model: str) -> str:
    """Its name; with two releases, of which the first can be gone back to."""
    name = f"bot-{workspace_id[-6:]}"
    made = client.post("/v1/aliases", headers=headers, json={"name": name, "model": model})
    assert made.status_code == 200, made.text
    arms = [{"model": model, "percent": 100}]
    client.post(f"/v1/aliases/{name}/releases", headers=headers, json={"arms": arms})
    return name


def _linked_identity(session: Session, user_id: str) -> str:
    claims = Claims(issuer="https://id.example.com", subject=user_id, email=None, name="")
    return oidc.link(session, user_id=user_id, claims=claims).id


def _permission(client: TestClient, headers: Headers, model_id: str, guest: str) -> str:
    url = f"/v1/fine_tuning/checkpoints/{model_id}/permissions"
    found: str = client.post(url, headers=headers, json={"project_ids": [guest]}).json()["data"][0]["id"]
    return found


def _brought(client: TestClient, headers: Headers) -> dict[str, object]:
    archive = {"file": ("adapter.zip", b"nobody opens it")}
    uploaded = client.post("/v1/files", headers=headers, data={"purpose": "user_data"}, files=archive)
    assert uploaded.status_code == 200, uploaded.text
    return {"name": "Theirs", "base_model": "smollm2-135m-instruct", "file_ids": [uploaded.json()["id"]]}


def _packed(session: Session, export_id: str) -> str:
    """An export that is done; there is nothing in it."""
    export = session.get_one(ModelExport, export_id)
    export.expires_at = utc_now() + timedelta(days=1)
    job = session.get_one(Job, export.job_id)
    job.state, job.finished_at = JobState.SUCCEEDED, utc_now()
    session.flush()
    return export_id


def _kept_completion(session: Session, workspace_id: str) -> str:
    completion = new_completion(workspace_id, new_id("chatcmpl-"))
    completions.keep(session, completion)
    return completion.id


def _delivery(session: Session, workspace_id: str) -> str:
    """To the workspace's one webhook."""
    webhooks.emit(
        session,
        workspace_id=workspace_id,
        event_type=EventType.JOB_FAILED,
        subject_id="ftjob-1",
        occurrence=f"{workspace_id}/1",
    )
    return session.scalars(select(WebhookDelivery.id).where(WebhookDelivery.workspace_id == workspace_id)).one()


def _tuned_model(session: Session, *, workspace_id: str, run_id: str) -> str:
    return adapters.register(
        session,
        workspace_id=workspace_id,
        workspace_slug=workspaces.get_workspace(session, workspace_id=workspace_id).slug,
        run_id=run_id,
        created_by=None,
        name="Ours",
        suffix=None,
        base_model=base_models.default_base_model().id,
        method="lora",
        quantization=None,
        digest="d" * 64,
        key_prefix=f"workspaces/{workspace_id}/runs/{run_id}/a1",
        files=[],
        spec={},
        metrics={},
    ).model_id
