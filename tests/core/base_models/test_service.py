import json
from pathlib import Path

import pytest

from core.base_models import service
from core.base_models.types import MARKER_NAME, HubSource
from core.config import Settings
from core.errors import NotFound


def test_the_catalogue_has_one_default_and_no_twins() -> None:
    models = service.list_base_models()
    assert [model.id for model in models if model.is_default] == ["smollm2-135m-instruct"]
    assert len({model.id for model in models}) == len(models)


def test_every_hub_model_is_pinned_to_a_commit() -> None:
    pinned = [model for model in service.list_base_models() if isinstance(model.source, HubSource)]
    assert len(pinned) >= 5
    assert all(len(model.revision) == 40 and set(model.revision) <= set("0123456789abcdef") for model in pinned)


def test_an_unknown_model_is_answered_with_the_choice() -> None:
    with pytest.raises(NotFound, match="smollm2-135m-instruct") as raised:
        service.get("../../etc")
    assert raised.value.error_code == "model_not_found"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def marker(settings: Settings) -> Path:
    model = service.default_base_model()
    folder = service.folder(settings, model.id)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    files = {"config.json": {"sha256": "0" * 64, "num_bytes": 2}}
    (folder / MARKER_NAME).write_text(json.dumps({"id": model.id, "revision": model.revision, "files": files}))
    return folder / MARKER_NAME


def is_ready(settings: Settings) -> bool:
    return service.is_ready(settings, service.default_base_model().id)


def test_a_whole_folder_is_ready(settings: Settings, marker: Path) -> None:
    assert is_ready(settings)


def test_a_folder_without_its_marker_is_not_ready(settings: Settings, marker: Path) -> None:
    marker.unlink()
    assert not is_ready(settings)


def test_a_folder_that_lost_a_file_is_not_ready(settings: Settings, marker: Path) -> None:
    marker.with_name("config.json").unlink()
    assert not is_ready(settings)


def test_a_cut_file_is_not_ready(settings: Settings, marker: Path) -> None:
    marker.with_name("config.json").write_text("{")
    assert not is_ready(settings)


@pytest.mark.parametrize("content", ["", "[]", '{"id": "smollm2-135m-instruct"}'])
def test_a_broken_marker_is_no_marker(settings: Settings, marker: Path, content: str) -> None:
    marker.write_text(content)
    assert not is_ready(settings)


def test_another_revision_is_not_ready(settings: Settings, marker: Path) -> None:
    written = json.loads(marker.read_text())
    marker.write_text(json.dumps({**written, "revision": "f" * 64}))
    assert not is_ready(settings)
