"""What concerns a person rather than a workspace is written into the log of each workspace that they belong to."""

from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.workspaces import access
from core.workspaces.principal import Principal


def record_of_person(
    session: Session,
    *,
    user_id: str,
    action: str,
    details: dict[str, Any] | None = None,
    actor: Principal | None = None,
) -> None:
    """`actor` is who did it, if not the person. Needs a system session."""
    for person in access.principals_of_user(session, user_id=user_id):
        who = replace(actor, workspace_id=person.workspace_id) if actor else person
        audit.record(session, principal=who, action=action, target_id=user_id, details=details)
