from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.orm import Session

from core.db.session import Database
from core.identity.models import User
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.workspaces.models import ApiKey, Invitation, Membership, Workspace
from core.workspaces.roles import Permission, Role
from core.workspaces.types import FoundKey, Seat, WorkspaceSize

# made by migration 0007
_FIND_API_KEY = "select * from find_api_key(%(token_sha256)s)"


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

    def memberships_of(self, user_id: str) -> Sequence[Membership]:
        return self._session.scalars(
            select(Membership).where(Membership.user_id == user_id).order_by(Membership.workspace_id)
        ).all()

    def seats_of(self, user_id: str) -> list[Seat]:
        """Where a person may go, the oldest membership first; also what is archived, for its admins to restore."""
        rows = self._session.execute(
            select(Workspace, Membership.role)
            .join(Membership, Membership.workspace_id == Workspace.id)
            .where(
                Membership.user_id == user_id,
                Workspace.archived_at.is_(None) | (Membership.role == Role.ADMIN.value),
            )
            .order_by(Membership.created_at, Membership.workspace_id)
        )
        return [Seat(workspace, Role(role)) for workspace, role in rows]

    def sizes(self, page: PageRequest) -> Page[WorkspaceSize]:
        num_members = (
            select(func.count()).where(Membership.workspace_id == Workspace.id).correlate(Workspace).scalar_subquery()
        )
        query = select(Workspace, num_members).order_by(Workspace.id.desc()).limit(page.limit + 1)
        if page.after:
            query = query.where(Workspace.id < page.after)
        return Page.cut([WorkspaceSize(*row) for row in self._session.execute(query)], page.limit)

    def set_archived(self, workspace: Workspace, *, is_archived: bool) -> None:
        self._session.execute(
            update(Workspace)
            .where(Workspace.id == workspace.id)
            .values(archived_at=func.now() if is_archived else None)
        )
        self._session.refresh(workspace)

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


class KeyFinder:
    """From a secret to whom it acts for, in one statement."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, token_sha256: str) -> FoundKey | None:
        """A key that is not revoked and whose owner is still in its workspace, which is not archived."""
        row = self._database.ask(_FIND_API_KEY, {"token_sha256": token_sha256})
        if row is None:
            return None
        fields = dict(row)
        fields["key_role"], fields["owner_role"] = Role(row["key_role"]), Role(row["owner_role"])
        if row["scopes"] is not None:
            # a right that is gone since then limits to nothing
            fields["scopes"] = frozenset(permission for permission in Permission if permission in row["scopes"])
        return FoundKey(**fields)


class MembershipRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def lock_places(self) -> int:
        """How many members the workspace has; nobody offers or takes a seat until the transaction ends."""
        _lock_places(self._session, "members", self._workspace_id)
        num = select(func.count()).where(Membership.workspace_id == self._workspace_id)
        return self._session.scalars(num).one()

    def add(self, *, user_id: str, role: Role) -> Membership:
        membership = Membership(workspace_id=self._workspace_id, user_id=user_id, role=role.value)
        self._session.add(membership)
        self._session.flush()
        return membership

    def get(self, user_id: str) -> Membership | None:
        return self._session.get(Membership, (self._workspace_id, user_id))

    def end_invitations_of(self, user_id: str) -> None:
        """Those that this member sent and nobody took yet."""
        self._session.execute(
            update(Invitation)
            .where(
                Invitation.workspace_id == self._workspace_id,
                Invitation.invited_by == user_id,
                Invitation.accepted_at.is_(None),
                Invitation.revoked_at.is_(None),
            )
            .values(revoked_at=func.now())
        )

    def remove(self, membership: Membership) -> None:
        self._session.delete(membership)
        self._session.flush()

    def has_email(self, email: str) -> bool:
        return (
            self._session.scalar(
                select(Membership.user_id)
                .join(User, User.id == Membership.user_id)
                .where(Membership.workspace_id == self._workspace_id, User.email == email)
            )
            is not None
        )

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

    def lock_places(self) -> int:
        """How many keys are not revoked; nobody makes one until the transaction ends."""
        _lock_places(self._session, "API keys", self._workspace_id)
        num = select(func.count()).where(ApiKey.workspace_id == self._workspace_id, ApiKey.revoked_at.is_(None))
        return self._session.scalars(num).one()

    def add(self, key: ApiKey) -> ApiKey:
        self._session.add(key)
        self._session.flush()
        self._session.refresh(key)
        return key

    def get(self, key_id: str, *, is_locked: bool = False) -> ApiKey | None:
        """One that is not revoked; if asked, held until the transaction ends."""
        query = select(ApiKey).where(
            ApiKey.workspace_id == self._workspace_id, ApiKey.id == key_id, ApiKey.revoked_at.is_(None)
        )
        return self._session.scalar(query.with_for_update() if is_locked else query)

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

    def is_expired(self, key: ApiKey) -> bool:
        return self._session.scalar(select(ApiKey.expires_at <= func.now()).where(ApiKey.id == key.id)) or False

    def rotate(self, key: ApiKey, *, token_sha256: str, last4: str, overlap_s: int) -> None:
        """The secret of now becomes the previous one, and opens for `overlap_s` more."""
        self._session.execute(
            update(ApiKey)
            .where(ApiKey.workspace_id == self._workspace_id, ApiKey.id == key.id)
            .values(
                previous_token_sha256=ApiKey.token_sha256,
                previous_expires_at=func.now() + timedelta(seconds=overlap_s),
                token_sha256=token_sha256,
                last4=last4,
            )
        )
        self._session.refresh(key)

    def revoke(self, key_id: str) -> None:
        self._session.execute(
            update(ApiKey)
            .where(ApiKey.workspace_id == self._workspace_id, ApiKey.id == key_id)
            .values(revoked_at=func.now())
        )

    def revoke_of_owner(self, owner_id: str) -> None:
        """All keys that act for a person or for a service account."""
        self._session.execute(
            update(ApiKey)
            .where(
                ApiKey.workspace_id == self._workspace_id,
                or_(ApiKey.user_id == owner_id, ApiKey.service_account_id == owner_id),
                ApiKey.revoked_at.is_(None),
            )
            .values(revoked_at=func.now())
        )


def _lock_places(session: Session, what: str, workspace_id: str) -> None:
    session.execute(
        text("select pg_advisory_xact_lock(hashtextextended(:what || ' of ' || :workspace_id, 0))"),
        {"what": what, "workspace_id": workspace_id},
    )
