import pytest

from core.config import Settings
from tests.factories.inference import FakeInference
from tests.factories.training import put_base_model_on_disk


@pytest.fixture
def inference() -> FakeInference:
    return FakeInference()


@pytest.fixture
def model(settings: Settings) -> str:
    return put_base_model_on_disk(settings)
