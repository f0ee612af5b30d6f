from typing import Literal, Self

from pydantic import Field

from api.schemas import RequestBody, ResponseBody
from core.workspaces.models import Workspace
from core.workspaces.roles import Permission, Role


class SignInBody(RequestBody):
    email: str = Field(max_length=254)
    password: str = Field(max_length=1000)
    code: str | None = Field(
        None,
        max_length=100,
        description="Of the authenticator app, or a recovery code: asked for by `second_factor_required`.",
    )
    invitation: str | None = Field(
        None, max_length=200, description="The token of an invitation to this address, which is accepted on the way in."
    )


class OptionsBody(ResponseBody):
    """What a sign-in page offers."""

    object: Literal["auth.options"] = "auth.options"
    is_set_up: bool = Field(description="False on a fresh installation, which waits for its first admin.")
    sends_mail: bool = Field(description="Whether a forgotten password can be reset by mail.")
    oidc_name: str | None = Field(description="What the single sign-on is called; null if there is none.")


class PasswordChangeBody(RequestBody):
    current_password: str = Field(max_length=1000)
    new_password: str = Field(max_length=1000)


class UserBody(ResponseBody):
    id: str
    email: str = Field(description="Empty for a service account.")
    name: str


class WorkspaceBody(ResponseBody):
    id: str
    name: str
    slug: str

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        return cls(id=workspace.id, name=workspace.name, slug=workspace.slug)


class SessionBody(ResponseBody):
    """Who is signed in, and what they may do."""

    object: Literal["session"] = "session"
    user: UserBody
    workspace: WorkspaceBody
    workspaces: list[WorkspaceBody] = Field(description="Where this browser may go; empty for an API key.")
    is_visiting: bool = Field(description="An admin of the installation looks in without being a member.")
    may_create_workspaces: bool
    role: Role
    permissions: list[Permission]
    # null for an API key, which needs none
    csrf_token: str | None


class SignedOutBody(ResponseBody):
    object: Literal["session"] = "session"
    deleted: bool = True


class PasswordChangedBody(ResponseBody):
    """The browser's session was renewed: unsafe requests carry this token from now on."""

    object: Literal["password"] = "password"
    changed: bool = True
    csrf_token: str


class ResetAskBody(RequestBody):
    email: str = Field(max_length=254)


class ResetAskedBody(ResponseBody):
    """The same whether or not anybody has the address."""

    object: Literal["password_reset"] = "password_reset"
    asked: bool = True


class ResetBody(RequestBody):
    token: str = Field(max_length=200, description="What stands behind the # of the link.")
    password: str = Field(max_length=1000)


class ResetDoneBody(ResponseBody):
    object: Literal["password_reset"] = "password_reset"
    changed: bool = True
    email: str = Field(description="Whose password it is now.")


class ResetLinkBody(ResponseBody):
    """Hand it to the person and to nobody else: whoever opens it first sets the password."""

    object: Literal["password_reset_link"] = "password_reset_link"
    url: str
    expires_at: int


class TotpRemovedBody(ResponseBody):
    id: str
    object: Literal["user.totp"] = "user.totp"
    deleted: bool = True


class OidcStartBody(RequestBody):
    to: str = Field("/", max_length=2000, description="A path of this site, to come back to.")


class OidcStartedBody(ResponseBody):
    object: Literal["auth.oidc"] = "auth.oidc"
    url: str = Field(description="Where the browser must go now.")
