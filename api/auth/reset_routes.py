"""Back in without the old password: by a link that is mailed, or that an admin passes on."""

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, Request

from api.auth.schemas import (
    ResetAskBody,
    ResetAskedBody,
    ResetBody,
    ResetDoneBody,
    ResetLinkBody,
    TotpRemovedBody,
)
from api.browser import check_origin
from api.dependencies import BackendsDep, DatabaseDep, SettingsDep, browser_session, require
from api.retries import RetriedRoute
from core.audit.people import record_of_person
from core.backends.mail import Mail, Mailer
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.errors import Conflict
from core.identity import service as identity
from core.identity.models import User
from core.identity.resets import service as resets
from core.identity.resets.service import MadeReset
from core.identity.totp import service as totp
from core.kit.clock import unix_s
from core.workspaces.principal import Principal
from core.workspaces.recovery import check_may_reset_password
from core.workspaces.roles import Permission

router = APIRouter(tags=["auth"], route_class=RetriedRoute)

ManagerDep = Annotated[Principal, Depends(require(Permission.MEMBERS_MANAGE))]
OperatorDep = Annotated[Principal, Depends(require(Permission.INSTALLATION_ADMIN))]

_TEXT = """Hello {name},

somebody, probably you, asked for a new password for Tailorbird at {public_url}.
Open this link within {minutes} minutes to set one:

{url}

If it was not you, do nothing: your password stays as it is.
"""


@router.post("/v1/auth/password_reset")
def ask_for_reset(
    body: ResetAskBody,
    request: Request,
    settings: SettingsDep,
    database: DatabaseDep,
    backends: BackendsDep,
    after_the_answer: BackgroundTasks,
) -> ResetAskedBody:
    """Have a link mailed that sets a new password. Neither answer nor time tells whether the address is known."""
    check_origin(request, settings)
    if not backends.mail.is_configured:
        raise Conflict(
            "This installation sends no mail. Ask an admin of your workspace to make a reset link for you.",
            code="mail_not_configured",
        )
    with database.session(SYSTEM) as session:
        made = resets.ask(session, email=body.email)
    if made.user is not None:
        after_the_answer.add_task(_send, database, backends.mail, settings, made.user, made)
    return ResetAskedBody()


@router.post("/v1/auth/password_reset/finish")
def finish_reset(body: ResetBody, request: Request, settings: SettingsDep, database: DatabaseDep) -> ResetDoneBody:
    """Set a new password by a link, once, and sign the person out everywhere."""
    check_origin(request, settings)
    with database.session(SYSTEM) as session:
        user = resets.finish(session, token=body.token, password=body.password)
        record_of_person(session, user_id=user.id, action="user.password_reset")
        return ResetDoneBody(email=user.email)


@router.post("/v1/members/{user_id}/password_reset")
def make_reset_link(user_id: str, principal: ManagerDep, settings: SettingsDep, database: DatabaseDep) -> ResetLinkBody:
    """A link that sets a member's password, to pass on. Never for somebody who may do more than you."""
    return _made_link(user_id, principal, settings, database)


@router.post("/v1/admin/users/{user_id}/password_reset")
def make_reset_link_for_anybody(
    user_id: str, principal: OperatorDep, settings: SettingsDep, database: DatabaseDep
) -> ResetLinkBody:
    return _made_link(user_id, principal, settings, database)


@router.delete("/v1/admin/users/{user_id}/totp")
def remove_totp_of_user(user_id: str, principal: OperatorDep, database: DatabaseDep) -> TotpRemovedBody:
    """For somebody who has lost their app and their recovery codes: ask them for the password alone."""
    with database.session(SYSTEM) as session:
        identity.get_user(session, user_id=user_id)
        browser_session(principal)
        totp.turn_off(session, user_id=user_id)
        identity.end_sessions_of(session, user_id=user_id)
        record_of_person(session, user_id=user_id, action="user.totp_reset", actor=principal)
    return TotpRemovedBody(id=user_id)


def _made_link(user_id: str, principal: Principal, settings: Settings, database: Database) -> ResetLinkBody:
    with database.session(SYSTEM) as session:
        check_may_reset_password(session, principal=principal, user_id=user_id)
        # the link makes one a person, with a person's session: more than a key can be
        browser_session(principal)
        made = resets.make_for(session, user_id=user_id)
        record_of_person(session, user_id=user_id, action="user.reset_link_made", actor=principal)
    return ResetLinkBody(url=_url(settings, made), expires_at=unix_s(made.expires_at))


def _send(database: Database, mail: Mailer, settings: Settings, user: User, made: MadeReset) -> None:
    with database.session(SYSTEM) as session:
        record_of_person(session, user_id=user.id, action="user.reset_asked")
    minutes = resets.MAX_AGE_S // 60
    text = _TEXT.format(name=user.name, public_url=settings.public_url, minutes=minutes, url=_url(settings, made))
    mail.send(Mail(to=user.email, subject="A new password for Tailorbird", text=text))


def _url(settings: Settings, made: MadeReset) -> str:
    """The token stands behind the #, which browsers send to no server and into no log."""
    return f"{settings.public_url.rstrip('/')}/reset-password#{made.token}"
