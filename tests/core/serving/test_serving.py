import pytest

from core.adapters import service as adapters
from core.adapters.service import AdapterFile
from core.backends.blobs import MemoryBlobStore
from core.config import Settings
from core.db.session import SYSTEM, Database, workspace_scope
from core.errors import Invalid, NotFound, Unavailable
from core.serving import service as serving
from core.training import service as training
from core.training.request import RunRequest
from core.usage.models import LedgerEntry
from core.workspaces.principal import Principal
from tests.factories.training import make_version, put_base_model_on_disk

pytestmark = pytest.mark.stack


@pytest.fixture
def model(settings: Settings) -> str:
    return put_base_model_on_disk(settings)


@pytest.fixture
def tuned(database: Database, principal: Principal, settings: Settings, model: str) -> str:
    workspace_id = principal.workspace_id
    with database.session(workspace_scope(workspace_id)) as session:
        request = RunRequest(model=model, dataset_version_id=make_version(session, workspace_id).id)
        run = training.create(session, principal=principal, request=request, settings=settings, queue=None).run
        return adapters.register(
            session,
            workspace_id=workspace_id,
            workspace_slug="acme",
            run_id=run.id,
            created_by=None,
            name=None,
            suffix=None,
            base_model=model,
            method="qlora",
            quantization="nf4",
            digest="d" * 64,
            key_prefix="p",
            files=[AdapterFile(name="adapter_config.json", key="p/adapter_config.json", sha256="e" * 64, num_bytes=2)],
            spec={},
            metrics={},
        ).model_id


def test_a_tuned_model_is_its_base_with_signed_files_and_the_weights_it_learned_on(
    database: Database, workspace_id: str, settings: Settings, model: str, tuned: str
) -> None:
    with database.session(workspace_scope(workspace_id)) as session:
        target = serving.resolve(
            session, workspace_id=workspace_id, model_id=tuned, settings=settings, blobs=MemoryBlobStore()
        )
    assert (target.base_model, target.quantization) == (model, "nf4")
    assert target.adapter is not None
    assert target.adapter.digest == "d" * 64
    assert target.adapter.files[0].url.startswith("memory://p/adapter_config.json")


def test_a_whole_model_is_kept_listed_and_not_spoken_as(
    database: Database, workspace_id: str, settings: Settings, tuned: str
) -> None:
    with database.session(workspace_scope(workspace_id)) as session:
        adapters.get_by_model_id(session, workspace_id=workspace_id, model_id=tuned).method = "full"
        found = serving.get_model(session, workspace_id=workspace_id, model_id=tuned, settings=settings)
        assert (found.method, found.is_ready) == ("full", False)
        with pytest.raises(Invalid, match="full fine-tuning") as refused:
            serving.resolve(
                session, workspace_id=workspace_id, model_id=tuned, settings=settings, blobs=MemoryBlobStore()
            )
    assert refused.value.error_code == "model_not_served"


def test_another_workspace_cannot_speak_as_it(
    database: Database, other_workspace_id: str, settings: Settings, tuned: str
) -> None:
    with database.session(workspace_scope(other_workspace_id)) as session, pytest.raises(NotFound):
        serving.resolve(
            session, workspace_id=other_workspace_id, model_id=tuned, settings=settings, blobs=MemoryBlobStore()
        )


def test_without_its_base_model_on_disk_it_is_not_ready(
    database: Database, workspace_id: str, settings: Settings, model: str, tuned: str
) -> None:
    (settings.base_models_dir / model / "tailorbird.json").unlink()
    with database.session(workspace_scope(workspace_id)) as session:
        found = serving.list_models(session, workspace_id=workspace_id, settings=settings)
        assert [(entry.id, entry.is_ready) for entry in found] == [(tuned, False)]
        with pytest.raises(Unavailable):
            serving.resolve(
                session, workspace_id=workspace_id, model_id=tuned, settings=settings, blobs=MemoryBlobStore()
            )


def test_an_answer_is_charged_once(database: Database, workspace_id: str) -> None:
    for _ in range(2):
        with database.session(workspace_scope(workspace_id)) as session:
            serving.meter(
                session,
                workspace_id=workspace_id,
                completion_id="chatcmpl-1",
                seconds=36,
                num_tokens=10,
                created_by=None,
            )
    with database.session(SYSTEM) as session:
        (entry,) = session.query(LedgerEntry)
    # a hundredth of the seeded 0.06 dollars an hour
    assert (entry.amount_micros, entry.tokens) == (600, 10)


@pytest.mark.parametrize(("hardware", "amount_micros"), [("gpu:h100", 39_900), ("gpu:abacus", 600)])
def test_an_answer_is_priced_as_what_it_was_given_on(
    database: Database, workspace_id: str, hardware: str, amount_micros: int
) -> None:
    with database.session(workspace_scope(workspace_id)) as session:
        serving.meter(
            session,
            workspace_id=workspace_id,
            completion_id="chatcmpl-1",
            seconds=36,
            num_tokens=10,
            created_by=None,
            hardware=hardware,
        )
    with database.session(SYSTEM) as session:
        (entry,) = session.query(LedgerEntry)
    assert entry.amount_micros == amount_micros
