from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from core.identity.models import User
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.workspaces.models import ApiKey, Membership, Workspace
from core.workspaces.roles import Role


class WorkspaceRepository:
    """Workspaces themselves, and the way from a person or a key to one. Needs a system session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, workspace_id: str) -> Workspace | None:
        return self._session.get(Workspace, workspace_id)

    def by_slug(self, slug: str) -> Workspace | None:
        return self._session.scalar(select(Workspace).where(Workspace.slug == slug))

    def first(self) -> Workspace | None:
        return self._session.scalar(select(Workspace).order_by(Workspace.id).limit(1))

    def lock_creation(self) -> None:
        """One creator at a time, until the transaction ends: else two first starts would make two defaults."""
        self._session.execute(text("select pg_advisory_xact_lock(hashtextextended('workspaces', 0))"))

    def add(self, *, name: str, slug: str) -> Workspace:
        workspace = Workspace(id=new_id("ws_"), name=name, slug=slug)
        self._session.add(workspace)
        self._session.flush()
        return workspace

    def first_membership_of(self, user_id: str) -> Membership | None:
        return self._session.scalar(
            select(Membership)
            .where(Membership.user_id == user_id)
            .order_by(Membership.created_at, Membership.workspace_id)
            .limit(1)
        )

    def key_and_owner(self, token_sha256: str) -> tuple[ApiKey, Membership, User] | None:
        """A key that is not revoked, with the membership it acts for; none if its maker has left the workspace."""
        row = self._session.execute(
            select(ApiKey, Membership, User)
            .join(
                Membership,
                (Membership.user_id == ApiKey.created_by) & (Membership.workspace_id == ApiKey.workspace_id),
            )
            .join(User, User.id == ApiKey.created_by)
            .where(ApiKey.token_sha256 == token_sha256, ApiKey.revoked_at.is_(None))
        ).one_or_none()
        return None if row is None else (row[0], row[1], row[2])

    def note_key_use(self, key_id: str) -> None:
        """Update the time of last use unless it is less than a minute old."""
        self._session.execute(
            update(ApiKey)
            .where(
                ApiKey.id == key_id,
                ApiKey.last_used_at.is_(None) | (ApiKey.last_used_at < func.now() - timedelta(minutes=1)),
            )
            .values(last_used_at=func.now())
        )


class MembershipRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, *, user_id: str, role: Role) -> Membership:
        membership = Membership(workspace_id=self._workspace_id, user_id=user_id, role=role.value)
        self._session.add(membership)
        self._session.flush()
        return membership

    def get(self, user_id: str) -> Membership | None:
        return self._session.get(Membership, (self._workspace_id, user_id))

    def remove(self, membership: Membership) -> None:
        self._session.delete(membership)
        self._session.flush()

    def page(self, page: PageRequest) -> Page[tuple[Membership, User]]:
        query = (
            select(Membership, User)
            .join(User, User.id == Membership.user_id)
            .where(Membership.workspace_id == self._workspace_id)
            .order_by(User.id)
            .limit(page.limit + 1)
        )
        if page.after:
            query = query.where(User.id > page.after)
        return Page.cut([(row[0], row[1]) for row in self._session.execute(query)], page.limit)

    def admins(self) -> Sequence[User]:
        return self._session.scalars(
            select(User)
            .join(Membership, Membership.user_id == User.id)
            .where(Membership.workspace_id == self._workspace_id, Membership.role == Role.ADMIN.value)
            .order_by(User.id)
        ).all()

    def lock_admins(self) -> Sequence[str]:
        """The ids of all admins, held until the transaction ends, so that two cannot remove each other."""
        return self._session.scalars(
            select(Membership.user_id)
            .where(Membership.workspace_id == self._workspace_id, Membership.role == Role.ADMIN.value)
            .order_by(Membership.user_id)
            .with_for_update()
        ).all()


class ApiKeyRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, *, name: str, prefix: str, last4: str, token_sha256: str, role: Role, created_by: str) -> ApiKey:
        key = ApiKey(
            id=new_id("key_"),
            workspace_id=self._workspace_id,
            name=name,
            prefix=prefix,
            last4=last4,
            token_sha256=token_sha256,
            role=role.value,
            created_by=created_by,
        )
        self._session.add(key)
        self._session.flush()
        return key

    def get(self, key_id: str) -> ApiKey | None:
        return self._session.scalar(
            select(ApiKey).where(
                ApiKey.workspace_id == self._workspace_id, ApiKey.id == key_id, ApiKey.revoked_at.is_(None)
            )
        )

    def page(self, page: PageRequest) -> Page[ApiKey]:
        query = (
            select(ApiKey)
            .where(ApiKey.workspace_id == self._workspace_id, ApiKey.revoked_at.is_(None))
            .order_by(ApiKey.id.desc())
            .limit(page.limit + 1)
        )
        if page.after:
            query = query.where(ApiKey.id < page.after)
        return Page.cut(self._session.scalars(query).all(), page.limit)

    def revoke(self, key_id: str) -> None:
        self._session.execute(
            update(ApiKey)
            .where(ApiKey.workspace_id == self._workspace_id, ApiKey.id == key_id)
            .values(revoked_at=func.now())
        )

    def revoke_of_user(self, user_id: str) -> None:
        self._session.execute(
            update(ApiKey)
            .where(
                ApiKey.workspace_id == self._workspace_id,
                ApiKey.created_by == user_id,
                ApiKey.revoked_at.is_(None),
            )
            .values(revoked_at=func.now())
        )
