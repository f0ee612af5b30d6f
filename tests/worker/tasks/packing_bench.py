"""A model that a real trainer made of a tiny base, in a workspace, and whoever takes it away."""

import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from core.adapters import service as adapters
from core.base_models import service as base_models
from core.base_models.types import MARKER_NAME
from core.db.session import SYSTEM, workspace_scope
from core.jobs.kinds import QueueName
from core.training import service as training
from core.training.methods import quantization_of
from core.training.request import RunRequest
from core.training.spec import RunInput
from core.usage.models import LedgerEntry
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal
from tests.conftest import Headers
from tests.factories.training import make_version
from tests.worker.inference.tiny_models import make_home
from tests.worker.training.conftest import execute, write_run
from worker.app import work_once
from worker.context import WorkContext
from worker.tasks import publishing


def make_trained(root: Path, name: str = "lora", **changes: Any) -> Path:  # noqa: ANN401 - fields of a RunInput
    """The run folder of a short training on the tiny base in `root/home`, which is made if it is not there."""
    home = root / "home"
    base = home / "base_models" / base_models.default_base_model().id
    if not base.exists():
        make_home(home)
    folder = write_run(root, base, name, base_model=base_models.default_base_model().id, num_epochs=1, **changes)
    execute(folder)
    return folder


class Packing:
    def __init__(
        self, context: WorkContext, client: TestClient, headers: Headers, principal: Principal, home: Path
    ) -> None:
        self.context, self.client, self.headers, self.principal = context, client, headers, principal
        context.settings.home.mkdir(parents=True, exist_ok=True)
        (context.settings.home / "base_models").symlink_to(home / "base_models")
        self.base = base_models.folder(context.settings, base_models.default_base_model().id)

    def enter(self, run_folder: Path) -> str:
        """The adapter of a run folder as a model of the workspace; its id."""
        workspace_id = self.principal.workspace_id
        spec = RunInput.model_validate_json((run_folder / "spec.json").read_text())
        with self.context.database.session(workspace_scope(workspace_id)) as session:
            version = make_version(session, workspace_id, with_rows=True)
            run = training.create(
                session,
                principal=self.principal,
                request=RunRequest(model=spec.base_model, dataset_version_id=version.id, seed=7),
                settings=self.context.settings,
                queue=None,
            ).run
            prefix = f"workspaces/{workspace_id}/runs/{run.id}/a1"
            published = publishing.publish(self.context.backends.blobs, run_folder / "adapter", prefix)
            return adapters.register(
                session,
                workspace_id=workspace_id,
                workspace_slug=workspaces.get_workspace(session, workspace_id=workspace_id).slug,
                run_id=run.id,
                created_by=self.principal.user_id,
                name="Claims | helper",
                suffix=None,
                base_model=spec.base_model,
                method=spec.method.type,
                quantization=quantization_of(spec.method),
                digest=published.digest,
                key_prefix=prefix,
                files=published.files,
                spec=spec.training_spec().model_dump(mode="json"),
                metrics={"base_heldout_loss": 3.0, "tuned_heldout_loss": 1.5},
            ).model_id

    def ask(self, model: str, export_format: str = "adapter", **more: object) -> dict[str, Any]:
        answer = self.client.post(
            "/v1/model_exports", headers=self.headers, json={"model": model, "format": export_format} | more
        )
        found: dict[str, Any] = answer.json() | {"status_code": answer.status_code}
        return found

    def work(self) -> None:
        assert work_once(self.context, QueueName.IO)

    def look(self, export_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"/v1/model_exports/{export_id}", headers=self.headers).json()
        return found

    def fetched(self, export_id: str, into: Path) -> Path:
        """The unpacked archive."""
        answer = self.client.get(f"/v1/model_exports/{export_id}/content", headers=self.headers)
        assert answer.status_code == 200, answer.text
        assert int(answer.headers["content-length"]) == len(answer.content)
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.testzip() is None
            archive.extractall(into)
        [folder] = into.iterdir()
        assert f'filename="{folder.name}.zip"' in answer.headers["content-disposition"]
        return folder

    def packed(self, model: str, into: Path, export_format: str = "adapter", **more: object) -> Path:
        asked = self.ask(model, export_format, **more)
        assert asked["status_code"] == 200, asked
        self.work()
        done = self.look(asked["id"])
        assert done["status"] == "succeeded", done
        return self.fetched(asked["id"], into)

    def ledger(self) -> list[LedgerEntry]:
        with self.context.database.session(SYSTEM) as session:
            return list(session.query(LedgerEntry))

    def plain_base(self, into: Path) -> Path:
        """The base without what is ours in it, as others have it."""
        shutil.copytree(self.base, into, ignore=shutil.ignore_patterns(MARKER_NAME))
        return into
