import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from core.backends.blobs import MemoryBlobStore
from core.datasets import files, service
from core.db.session import Database, workspace_scope
from core.workspaces.principal import Principal
from tests.factories.training import make_file

pytestmark = pytest.mark.stack


def test_a_file_is_not_deleted_under_a_dataset_that_is_being_made_of_it(
    database: Database, principal: Principal
) -> None:
    scope = workspace_scope(principal.workspace_id)
    with database.session(scope) as session:
        file_id = make_file(session, principal.workspace_id).id
    with database.session(scope) as making:
        service.create(making, principal=principal, file_id=file_id)
        with pytest.raises(OperationalError, match="lock timeout"), database.session(scope) as deleting:
            deleting.execute(text("set local lock_timeout = '100ms'"))
            files.delete(deleting, principal=principal, file_id=file_id, blobs=MemoryBlobStore())
