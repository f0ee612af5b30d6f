from tests.api.fine_tuning.conftest import claim, create, model, succeed, version

__all__ = ["claim", "create", "model", "succeed", "version"]
