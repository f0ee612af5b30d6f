import pytest
from fastapi.testclient import TestClient

from core.base_models import service as base_models
from tests.conftest import Headers
from tests.factories.tokenizer import put_tokenizer
from tests.factories.training import put_base_model_on_disk
from tests.worker.tasks.versions_bench import Bench
from worker.context import WorkContext


@pytest.fixture
def bench(context: WorkContext, client: TestClient, as_member: Headers, workspace_id: str) -> Bench:
    put_tokenizer(base_models.folder(context.settings, put_base_model_on_disk(context.settings)))
    return Bench(context, client, as_member, workspace_id)
