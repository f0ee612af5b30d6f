"""Codes of an authenticator app: on, off, and what to do when the app is lost."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api.auth.proof import check_password
from api.browser import client_address, csrf_token, set_session_cookie
from api.dependencies import DatabaseDep, SettingsDep, browser_session, require
from api.profile.schemas import (
    PasswordProofBody,
    RecoveryCodesBody,
    TotpCodeBody,
    TotpEnrolmentBody,
    TotpOffBody,
)
from api.retries import RetriedRoute
from core.audit.people import record_of_person
from core.db.session import SYSTEM
from core.identity import service as identity
from core.identity import sign_in
from core.identity.totp import service as totp
from core.workspaces.principal import Principal

router = APIRouter(tags=["profile"], route_class=RetriedRoute)

PersonDep = Annotated[Principal, Depends(require())]


@router.post("/v1/profile/totp")
def begin_totp(
    body: PasswordProofBody, request: Request, principal: PersonDep, settings: SettingsDep, database: DatabaseDep
) -> TotpEnrolmentBody:
    """A new secret for your app. Nothing is asked for until you confirm it with a code."""
    check_password(request, database, principal, password=body.password)
    with database.session(SYSTEM) as session:
        enrolment = totp.begin(session, user_id=principal.user_id, sealer=settings.sealer())
    return TotpEnrolmentBody(secret=enrolment.secret, uri=enrolment.uri, qr_svg=enrolment.qr_svg)


@router.post("/v1/profile/totp/confirm")
def confirm_totp(
    body: TotpCodeBody,
    request: Request,
    response: Response,
    principal: PersonDep,
    settings: SettingsDep,
    database: DatabaseDep,
) -> RecoveryCodesBody:
    """Ask for codes from now on, and sign every other browser out. Gives the recovery codes, once."""
    session_id = browser_session(principal)
    user_id = principal.user_id
    # guesses are counted like those of a sign-in
    with database.session(SYSTEM) as session:
        email = identity.get_user(session, user_id=user_id).email
        sign_in.begin_sign_in(session, email=email, client_address=client_address(request))
    with database.session(SYSTEM) as session:
        codes = totp.confirm(session, user_id=user_id, code=body.code, sealer=settings.sealer())
        sign_in.forget_attempts(session, email=email)
        renewed = identity.renew_session(session, session_id=session_id, max_s=settings.session_max_s)
        identity.end_sessions_of(session, user_id=user_id, except_id=renewed.session.id)
        record_of_person(session, user_id=user_id, action="user.totp_enabled")
    set_session_cookie(response, settings, token=renewed.token)
    return RecoveryCodesBody(recovery_codes=codes, csrf_token=csrf_token(settings, session_id=renewed.session.id))


@router.post("/v1/profile/totp/recovery_codes")
def renew_recovery_codes(
    body: PasswordProofBody, request: Request, principal: PersonDep, settings: SettingsDep, database: DatabaseDep
) -> RecoveryCodesBody:
    """Ten new recovery codes; those of before count no longer."""
    session_id = check_password(request, database, principal, password=body.password)
    with database.session(SYSTEM) as session:
        codes = totp.renew_recovery_codes(session, user_id=principal.user_id)
        record_of_person(session, user_id=principal.user_id, action="user.recovery_codes_renewed")
    return RecoveryCodesBody(recovery_codes=codes, csrf_token=csrf_token(settings, session_id=session_id))


@router.post("/v1/profile/totp/turn_off")
def turn_totp_off(
    body: PasswordProofBody, request: Request, principal: PersonDep, database: DatabaseDep
) -> TotpOffBody:
    """Ask for the password alone."""
    check_password(request, database, principal, password=body.password)
    with database.session(SYSTEM) as session:
        totp.turn_off(session, user_id=principal.user_id)
        record_of_person(session, user_id=principal.user_id, action="user.totp_disabled")
    return TotpOffBody()
