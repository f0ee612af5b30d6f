"""Who else may use a tuned model: a permission lets another workspace talk to it, until it is taken back.

A permission concerns two workspaces, and both find it in their audit logs; so giving and taking need a system session.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from core.adapters import service as adapters
from core.adapters.models import Adapter, CheckpointPermission
from core.adapters.permissions.repository import PermissionRepository, SharedAdapterRepository
from core.audit import service as audit
from core.errors import Invalid, NotFound
from core.kit.pagination import Page, PageRequest
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal


def grant(
    session: Session, *, principal: Principal, model_id: str, project_ids: Sequence[str]
) -> list[CheckpointPermission]:
    """Let these workspaces use the model. One that may already keeps the permission that it has.

    Raises `NotFound` for a model that is not ours or a workspace that is not there. Needs a system session.
    """
    adapter = adapters.get_by_model_id(session, workspace_id=principal.workspace_id, model_id=model_id)
    repository = PermissionRepository(session, principal.workspace_id)
    given = []
    for project_id in dict.fromkeys(project_ids):
        _check_project(session, principal, project_id)
        permission, is_new = repository.add(adapter_id=adapter.id, project_id=project_id, created_by=principal.user_id)
        given.append(permission)
        if is_new:
            for log in _both(principal, project_id):
                audit.record(
                    session,
                    principal=log,
                    action="checkpoint.permission.created",
                    target_id=permission.id,
                    details={"model": adapter.model_id, "project_id": project_id},
                )
    return given


def take_back(session: Session, *, principal: Principal, model_id: str, permission_id: str) -> None:
    """From now on the model is not there for them. Needs a system session."""
    adapter = adapters.get_by_model_id(session, workspace_id=principal.workspace_id, model_id=model_id)
    repository = PermissionRepository(session, principal.workspace_id)
    permission = repository.get(adapter.id, permission_id)
    if permission is None or not repository.remove(permission_id):
        raise NotFound(
            f"There is no permission {permission_id!r} for {model_id!r}.",
            code="permission_not_found",
            param="permission_id",
        )
    for log in _both(principal, permission.project_id):
        audit.record(
            session,
            principal=log,
            action="checkpoint.permission.deleted",
            target_id=permission_id,
            details={"model": adapter.model_id, "project_id": permission.project_id},
        )


def list_permissions(
    session: Session, *, workspace_id: str, model_id: str, page: PageRequest, project_id: str | None = None
) -> Page[CheckpointPermission]:
    """Those that were given for the model. Raises `NotFound` for a model that is not ours."""
    adapter = adapters.get_by_model_id(session, workspace_id=workspace_id, model_id=model_id)
    return PermissionRepository(session, workspace_id).page(adapter.id, page, project_id=project_id)


def shared_with(session: Session, *, workspace_id: str) -> Sequence[Adapter]:
    """What others let this workspace use, newest first."""
    return SharedAdapterRepository(session, workspace_id).living()


def get_usable(session: Session, *, workspace_id: str, model_id: str) -> Adapter:
    """Our own adapter, or one that its owner lets us use. Raises `NotFound` (`model_not_found`)."""
    shared = SharedAdapterRepository(session, workspace_id).by_model_id(model_id)
    return shared or adapters.get_by_model_id(session, workspace_id=workspace_id, model_id=model_id)


def _check_project(session: Session, principal: Principal, project_id: str) -> None:
    if project_id == principal.workspace_id:
        raise Invalid(
            f"{project_id} is this workspace itself, which may use its models anyway.",
            code="own_project",
            param="project_ids",
        )
    try:
        workspaces.get_workspace(session, workspace_id=project_id)
    except NotFound:
        raise NotFound(
            f"There is no workspace {project_id[:80]!r}. A project of the wire is a workspace here; its admins see "
            "its id on the page of settings.",
            code="project_not_found",
            param="project_ids",
        ) from None


def _both(principal: Principal, project_id: str) -> tuple[Principal, Principal]:
    """The one who acts, as each of the two workspaces enters it."""
    return principal, replace(principal, workspace_id=project_id)
