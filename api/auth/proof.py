"""The password once more, before somebody who is signed in changes how they sign in."""

from fastapi import Request

from api.browser import client_address
from api.dependencies import browser_session
from core.db.session import SYSTEM, Database
from core.identity import service as identity
from core.identity import sign_in
from core.workspaces.principal import Principal


def check_password(
    request: Request, database: Database, principal: Principal, *, password: str, param: str = "password"
) -> str:
    """Counted like a sign-in. Returns the id of the browser's session. Raises `Forbidden`, `Invalid`, `RateLimited`."""
    session_id = browser_session(principal)
    # counted and committed on its own, so that a failed attempt is remembered
    with database.session(SYSTEM) as session:
        email = identity.get_user(session, user_id=principal.user_id).email
        sign_in.begin_sign_in(session, email=email, client_address=client_address(request))
    with database.session(SYSTEM) as session:
        sign_in.finish_proof(session, user_id=principal.user_id, password=password, param=param)
    return session_id
