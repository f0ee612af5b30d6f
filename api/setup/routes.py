"""The first run: a fresh installation gets its admin."""

import hmac

from fastapi import APIRouter, Request, Response

from api.auth.bodies import session_body
from api.auth.schemas import SessionBody
from api.browser import browser_of, check_origin, set_session_cookie
from api.dependencies import DatabaseDep, SettingsDep
from api.retries import RetriedRoute
from api.setup.schemas import SetupBody
from core.audit import service as audit
from core.config import Settings
from core.db.session import SYSTEM
from core.errors import Forbidden, NotFound
from core.identity import service as identity
from core.workspaces import access, setup

router = APIRouter(tags=["setup"], route_class=RetriedRoute)


@router.post("/v1/setup")
def set_up(
    body: SetupBody, request: Request, response: Response, settings: SettingsDep, database: DatabaseDep
) -> SessionBody:
    """Make the first admin and their workspace, once, and sign them in."""
    check_origin(request, settings)
    _check_token(body.token, settings)
    with database.session(SYSTEM) as session:
        user = setup.set_up(
            session, workspace_name=body.workspace_name, email=body.email, name=body.name, password=body.password
        )
        opened = identity.open_session(
            session, user_id=user.id, max_s=settings.session_max_s, browser=browser_of(request)
        )
        principal = access.principal_of_session(session, user_session=opened.session)
        if principal is None:
            raise NotFound("The new workspace has no member.", code="member_not_found")
        audit.record(session, principal=principal, action="installation.set_up", target_id=user.id)
        answer = session_body(session, principal, settings)
    set_session_cookie(response, settings, token=opened.token)
    return answer


def _check_token(given: str, settings: Settings) -> None:
    """So that no stranger is faster than who started it."""
    expected = settings.setup_token
    if expected is None or not hmac.compare_digest(given.strip().encode(), expected.encode()):
        raise Forbidden(
            "This link does not fit this installation. Open the one that `tailorbird up` or `tailorbird migrate` "
            "printed, or make the first admin with `tailorbird create-admin`.",
            code="setup_token_wrong",
        )
