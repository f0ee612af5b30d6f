from datetime import timedelta

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.workspaces.models import Invitation, Workspace
from core.workspaces.roles import Role


class InvitationRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(
        self, *, email: str, role: Role, token_sha256: str, invited_by: str, inviter_name: str, valid_s: int
    ) -> Invitation:
        invitation = Invitation(
            id=new_id("inv_"),
            workspace_id=self._workspace_id,
            email=email,
            role=role.value,
            token_sha256=token_sha256,
            invited_by=invited_by,
            inviter_name=inviter_name,
            expires_at=func.now() + timedelta(seconds=valid_s),
        )
        self._session.add(invitation)
        self._session.flush()
        self._session.refresh(invitation)
        return invitation

    def num_open(self) -> int:
        num = select(func.count()).where(Invitation.workspace_id == self._workspace_id, _is_open())
        return self._session.scalars(num).one()

    def get(self, invitation_id: str) -> Invitation | None:
        """One that is neither accepted nor taken back; it may have expired."""
        return self._session.scalar(
            select(Invitation)
            .where(Invitation.workspace_id == self._workspace_id, Invitation.id == invitation_id, _is_open())
            .with_for_update()
        )

    def of_email(self, email: str) -> Invitation | None:
        return self._session.scalar(
            select(Invitation).where(
                Invitation.workspace_id == self._workspace_id, Invitation.email == email, _is_open()
            )
        )

    def page(self, page: PageRequest) -> Page[Invitation]:
        query = (
            select(Invitation)
            .where(Invitation.workspace_id == self._workspace_id, _is_open())
            .order_by(Invitation.id.desc())
            .limit(page.limit + 1)
        )
        if page.after:
            query = query.where(Invitation.id < page.after)
        return Page.cut(self._session.scalars(query).all(), page.limit)

    def renew(self, invitation: Invitation, *, token_sha256: str, valid_s: int) -> None:
        self._session.execute(
            update(Invitation)
            .where(Invitation.workspace_id == self._workspace_id, Invitation.id == invitation.id)
            .values(token_sha256=token_sha256, expires_at=func.now() + timedelta(seconds=valid_s))
        )
        self._session.refresh(invitation)

    def revoke(self, invitation_id: str) -> None:
        self._session.execute(
            update(Invitation)
            .where(Invitation.workspace_id == self._workspace_id, Invitation.id == invitation_id)
            .values(revoked_at=func.now())
        )


class OpenInvitationRepository:
    """From a link to what it offers, in whatever workspace. Needs a system session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def by_token(self, token_sha256: str, *, is_locked: bool) -> tuple[Invitation, Workspace] | None:
        """One that can be accepted now; if asked, held until the transaction ends, so that it is accepted once."""
        query = (
            select(Invitation, Workspace)
            .join(Workspace, Workspace.id == Invitation.workspace_id)
            .where(
                Invitation.token_sha256 == token_sha256,
                _is_open(),
                Invitation.expires_at > func.now(),
                Workspace.archived_at.is_(None),
            )
        )
        row = self._session.execute(query.with_for_update(of=Invitation) if is_locked else query).one_or_none()
        return None if row is None else (row[0], row[1])

    def of_email(self, email: str) -> list[tuple[Invitation, Workspace]]:
        """Those that can be accepted now, held until the transaction ends."""
        rows = self._session.execute(
            select(Invitation, Workspace)
            .join(Workspace, Workspace.id == Invitation.workspace_id)
            .where(
                Invitation.email == email,
                _is_open(),
                Invitation.expires_at > func.now(),
                Workspace.archived_at.is_(None),
            )
            .order_by(Invitation.id)
            .with_for_update(of=Invitation)
        )
        return [(row[0], row[1]) for row in rows]

    def accept(self, invitation: Invitation) -> None:
        self._session.execute(update(Invitation).where(Invitation.id == invitation.id).values(accepted_at=func.now()))


def _is_open() -> ColumnElement[bool]:
    return Invitation.accepted_at.is_(None) & Invitation.revoked_at.is_(None)
