from tests.api.chat.conftest import ai
from tests.api.fine_tuning.conftest import claim, create, model, succeed, version

__all__ = ["ai", "claim", "create", "model", "succeed", "version"]
