"""Codes of an authenticator app (TOTP, RFC 6238: SHA-1, six digits, thirty seconds), and codes to recover with.

It guards the password. Whoever comes by the single sign-on was asked for a second factor there, if anywhere.
"""

import base64
import io
import secrets
from dataclasses import dataclass
from enum import StrEnum

import pyotp
import segno
from sqlalchemy.orm import Session

from core.errors import Conflict, Invalid, NotFound, Unauthenticated, Unavailable
from core.identity import service as identity
from core.identity.models import TotpFactor
from core.identity.totp.repository import TotpRepository
from core.kit.clock import unix_s, utc_now
from core.kit.hashing import sha256_bytes
from core.kit.sealing import Sealer, Unsealable

NUM_RECOVERY_CODES = 10
_RECOVERY_CODE_BYTES = 10
_STEP_S = 30
# clocks of telephones are off by a little, and people type slowly
_STEPS = (0, -1, 1)
_ISSUER = "Tailorbird"


class Proof(StrEnum):
    """By what a second factor was proven."""

    CODE = "code"
    RECOVERY_CODE = "recovery_code"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app needs: by camera, by link, or typed."""

    secret: str
    uri: str
    qr_svg: str


def is_on(session: Session, *, user_id: str) -> bool:
    factor = TotpRepository(session).get(user_id)
    return factor is not None and factor.confirmed_at is not None


def count_recovery_codes(session: Session, *, user_id: str) -> int:
    return TotpRepository(session).count_recovery_codes(user_id)


def begin(session: Session, *, user_id: str, sealer: Sealer) -> Enrolment:
    """A new secret, which asks for nothing until it is confirmed. Raises `Conflict` if the codes are on already."""
    user = identity.get_user(session, user_id=user_id)
    secret = pyotp.random_base32()
    sealed = sealer.seal(secret, context=_context(user_id))
    if not TotpRepository(session).begin(user_id, sealed_secret=sealed):
        raise Conflict(
            "Codes of an app are asked for already. Turn them off first to use another app.", code="totp_already_on"
        )
    uri = pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=_ISSUER)
    return Enrolment(secret=secret, uri=uri, qr_svg=_drawn(uri))


def confirm(session: Session, *, user_id: str, code: str, sealer: Sealer) -> list[str]:
    """Ask for codes from now on, if the app shows the right one. Returns the recovery codes, which are kept hashed."""
    totp = TotpRepository(session)
    factor = totp.get(user_id)
    if factor is None:
        raise Conflict("Nothing was begun: start again from your profile.", code="totp_not_begun")
    if factor.confirmed_at is not None:
        raise Conflict("Codes of an app are asked for already.", code="totp_already_on")
    if not _takes(totp, factor, code, sealer):
        raise Invalid(
            "This is not the code that your app should show now. Check the clock of your device and type the next one.",
            code="totp_code_wrong",
            param="code",
        )
    totp.confirm(user_id)
    return renew_recovery_codes(session, user_id=user_id)


def prove(session: Session, *, user_id: str, code: str, sealer: Sealer) -> Proof:
    """Take a code of the app, or a recovery code: each counts once. Raises `Unauthenticated` for any other."""
    totp = TotpRepository(session)
    factor = totp.get(user_id)
    if totp.take_recovery_code(user_id, _hashed(user_id, code)):
        return Proof.RECOVERY_CODE
    if factor is not None and _takes(totp, factor, code, sealer):
        return Proof.CODE
    raise Unauthenticated(
        "The code is wrong or was used before. Type the one that your app shows now.", code="second_factor_failed"
    )


def renew_recovery_codes(session: Session, *, user_id: str) -> list[str]:
    """Ten new ones; those of before count no longer. Raises `Conflict` if no codes are asked for."""
    if not is_on(session, user_id=user_id):
        raise Conflict("Codes of an app are not asked for, so there is nothing to recover.", code="totp_not_on")
    codes = [_new_recovery_code() for _ in range(NUM_RECOVERY_CODES)]
    TotpRepository(session).replace_recovery_codes(user_id, [_hashed(user_id, code) for code in codes])
    return codes


def turn_off(session: Session, *, user_id: str) -> None:
    """Ask for the password alone. Raises `NotFound` if nothing else was asked for."""
    if not TotpRepository(session).remove(user_id):
        raise NotFound("Codes of an app are not asked for.", code="totp_not_on")


def reseal(session: Session, sealer: Sealer) -> int:
    """Seal anew what was sealed with an earlier key; how many secrets that were. Raises `Unsealable`."""
    stale = [factor for factor in TotpRepository(session).all_locked() if not sealer.is_current(factor.sealed_secret)]
    for factor in stale:
        context = _context(factor.user_id)
        factor.sealed_secret = sealer.seal(sealer.open(factor.sealed_secret, context=context), context=context)
    session.flush()
    return len(stale)


def _takes(totp: TotpRepository, factor: TotpFactor, code: str, sealer: Sealer) -> bool:
    try:
        secret = sealer.open(factor.sealed_secret, context=_context(factor.user_id))
    except Unsealable as error:
        raise Unavailable(
            "The secret of your app cannot be read: the installation's encryption keys were changed. Use a recovery "
            "code, or ask who runs the installation.",
            code="totp_secret_unreadable",
        ) from error
    given = "".join(code.split())
    now = unix_s(utc_now()) // _STEP_S
    shown = pyotp.TOTP(secret)
    # all of them, in the same time, whichever is right
    right = [now + step for step in _STEPS if secrets.compare_digest(shown.at((now + step) * _STEP_S), _ascii(given))]
    return bool(right) and totp.take_step(factor.user_id, right[0])


def _ascii(text: str) -> str:
    """Digits are compared as ASCII alone; what is none matches no code."""
    return text if text.isascii() else ""


def _new_recovery_code() -> str:
    """Eighty random bits, in groups that can be copied by hand."""
    text = base64.b32encode(secrets.token_bytes(_RECOVERY_CODE_BYTES)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _hashed(user_id: str, code: str) -> str:
    plain = "".join(char for char in code.lower() if char.isalnum())
    return sha256_bytes(f"{user_id}:{plain}".encode())


def _context(user_id: str) -> str:
    return f"totp:{user_id}"


def _drawn(uri: str) -> str:
    """SVG, black on white whatever the page's colours: cameras want it so."""
    drawn = io.BytesIO()
    segno.make(uri, error="m").save(
        drawn, kind="svg", xmldecl=False, nl=False, dark="#000", light="#fff", border=3, omitsize=True
    )
    return drawn.getvalue().decode()
