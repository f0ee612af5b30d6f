from typing import Literal

from pydantic import Field

from api.schemas import RequestBody, ResponseBody
from core.identity.devices import device_of
from core.identity.models import LinkedIdentity, UserSession
from core.kit.clock import unix_s


class IdentityBody(ResponseBody):
    """Who a person is at the single sign-on."""

    id: str
    object: Literal["profile.identity"] = "profile.identity"
    email: str | None
    created_at: int
    last_used_at: int


class TotpBody(ResponseBody):
    is_on: bool
    num_recovery_codes: int


class ProfileBody(ResponseBody):
    """How somebody signs in."""

    id: str
    object: Literal["profile"] = "profile"
    email: str
    name: str
    has_password: bool
    totp: TotpBody
    identities: list[IdentityBody]
    oidc_name: str | None = Field(description="What the single sign-on is called; null if there is none.")


class ProfileChangeBody(RequestBody):
    name: str = Field(max_length=100)


class PasswordProofBody(RequestBody):
    password: str = Field(max_length=1000, description="Your password, once more.")


class TotpEnrolmentBody(ResponseBody):
    """For the app; confirm with a code that it shows."""

    object: Literal["profile.totp_enrolment"] = "profile.totp_enrolment"
    secret: str = Field(description="In base32, to type where no camera is.")
    uri: str
    qr_svg: str = Field(description="The same as a picture.")


class TotpCodeBody(RequestBody):
    code: str = Field(max_length=100)


class RecoveryCodesBody(ResponseBody):
    """Shown once. Each stands in for a code of the app, once."""

    object: Literal["profile.recovery_codes"] = "profile.recovery_codes"
    recovery_codes: list[str]
    csrf_token: str = Field(description="Unsafe requests carry this one from now on.")


class TotpOffBody(ResponseBody):
    object: Literal["profile.totp"] = "profile.totp"
    deleted: bool = True


class NewIdentityBody(RequestBody):
    password: str | None = Field(None, max_length=1000, description="Your password, once more, if you have one.")


class DeletedIdentityBody(ResponseBody):
    id: str
    object: Literal["profile.identity"] = "profile.identity"
    deleted: bool = True


class BrowserSessionBody(ResponseBody):
    """A browser that is signed in."""

    id: str
    object: Literal["profile.session"] = "profile.session"
    device: str
    client_address: str | None
    created_at: int
    last_seen_at: int
    expires_at: int
    is_current: bool


class DeletedSessionBody(ResponseBody):
    id: str
    object: Literal["profile.session"] = "profile.session"
    deleted: bool = True


class DeletedSessionsBody(ResponseBody):
    object: Literal["profile.sessions"] = "profile.sessions"
    num_deleted: int


def identity_body(found: LinkedIdentity) -> IdentityBody:
    return IdentityBody(
        id=found.id,
        email=found.email,
        created_at=unix_s(found.created_at),
        last_used_at=unix_s(found.last_used_at),
    )


def browser_session_body(found: UserSession, *, current_id: str) -> BrowserSessionBody:
    return BrowserSessionBody(
        id=found.id,
        device=device_of(found.user_agent),
        client_address=found.client_address,
        created_at=unix_s(found.created_at),
        last_seen_at=unix_s(found.last_seen_at),
        expires_at=unix_s(found.expires_at),
        is_current=found.id == current_id,
    )
