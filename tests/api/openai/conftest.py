"""The unmodified `openai` client against the API in a thread."""

import json
from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI
from openai import OpenAI

from core.config import Settings
from core.datasets.models import DatasetVersion
from core.db.session import Database, workspace_scope
from core.training import service as training
from tests.api.fine_tuning.conftest import claim, succeed
from tests.factories.inference import FakeInference
from tests.factories.live_api import serving
from tests.factories.training import finish_version, put_base_model_on_disk

__all__ = ["claim", "succeed"]

ClientOf = Callable[[dict[str, str]], OpenAI]


@pytest.fixture
def inference() -> FakeInference:
    return FakeInference()


@pytest.fixture
def model(settings: Settings) -> str:
    return put_base_model_on_disk(settings)


@pytest.fixture
def base_url(app: FastAPI) -> Iterator[str]:
    with serving(app) as url:
        yield f"{url}/v1"


@pytest.fixture
def client_of(base_url: str) -> Iterator[ClientOf]:
    """The client of whoever has these headers."""
    opened: list[OpenAI] = []

    def _client_of(headers: dict[str, str]) -> OpenAI:
        key = headers["authorization"].removeprefix("Bearer ")
        opened.append(OpenAI(base_url=base_url, api_key=key, max_retries=0))
        return opened[-1]

    yield _client_of
    for client in opened:
        client.close()


@pytest.fixture
def ai(client_of: ClientOf, as_member: dict[str, str]) -> OpenAI:
    return client_of(as_member)


@pytest.fixture
def rows() -> bytes:
    return b"".join(
        json.dumps(
            {"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": f"a{n}"}]}
        ).encode()
        + b"\n"
        for n in range(20)
    )


@pytest.fixture
def file_id(ai: OpenAI, rows: bytes) -> str:
    made = ai.files.create(file=("rows.jsonl", rows), purpose="fine-tune")
    assert ai.files.wait_for_processing(made.id).status == "processed"
    return made.id


@pytest.fixture
def validate(database: Database, workspace_id: str) -> Callable[[str], None]:
    """Do what the ingest worker does when a version's rows are good."""

    def _validate(version_id: str) -> None:
        with database.session(workspace_scope(workspace_id)) as session:
            finish_version(session.get_one(DatasetVersion, version_id))
            session.flush()
            training.on_version_finished(session, workspace_id=workspace_id, version_id=version_id)

    return _validate
