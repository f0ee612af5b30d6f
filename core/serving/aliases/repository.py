"""Queries of aliases."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from core.kit.pagination import Page, PageRequest
from core.serving.aliases.models import Alias, AliasRelease, PromptProfile, ShadowAnswer


class AliasRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, thing: Alias | AliasRelease | PromptProfile | ShadowAnswer) -> None:
        self._session.add(thing)
        self._session.flush()

    def lock_places(self) -> int:
        """How many aliases live. Nobody makes one until the transaction ends: of a new name there is no row to hold."""
        self._session.execute(
            text("select pg_advisory_xact_lock(hashtextextended('aliases of ' || :workspace_id, 0))"),
            {"workspace_id": self._workspace_id},
        )
        living = (Alias.workspace_id == self._workspace_id, Alias.deleted_at.is_(None))
        return self._session.scalars(select(func.count()).where(*living)).one()

    def by_name(self, name: str, *, for_update: bool = False) -> Alias | None:
        """Deleted or not."""
        query = select(Alias).where(Alias.workspace_id == self._workspace_id, Alias.name == name)
        return self._session.scalar(query.with_for_update() if for_update else query)

    def releases_in_force(self) -> Sequence[tuple[Alias, AliasRelease]]:
        """Of all living aliases, by name."""
        query = (
            select(Alias, AliasRelease)
            .join(AliasRelease, (AliasRelease.alias_id == Alias.id) & (AliasRelease.number == Alias.release))
            .where(Alias.workspace_id == self._workspace_id, Alias.deleted_at.is_(None))
            .order_by(Alias.name)
        )
        return [(alias, release) for alias, release in self._session.execute(query)]

    def release(self, alias_id: str, number: int) -> AliasRelease | None:
        return self._session.scalar(
            select(AliasRelease).where(
                AliasRelease.workspace_id == self._workspace_id,
                AliasRelease.alias_id == alias_id,
                AliasRelease.number == number,
            )
        )

    def releases(self, alias_id: str, page: PageRequest) -> Page[AliasRelease]:
        """Newest first."""
        query = select(AliasRelease).where(
            AliasRelease.workspace_id == self._workspace_id, AliasRelease.alias_id == alias_id
        )
        if page.after:
            query = query.where(AliasRelease.id < page.after)
        query = query.order_by(AliasRelease.id.desc()).limit(page.limit + 1)
        return Page.cut(self._session.scalars(query).all(), page.limit)

    def profile(self, alias_id: str, version: int) -> PromptProfile | None:
        return self._session.scalar(
            select(PromptProfile).where(
                PromptProfile.workspace_id == self._workspace_id,
                PromptProfile.alias_id == alias_id,
                PromptProfile.version == version,
            )
        )

    def num_profiles(self, alias_id: str) -> int:
        """Of all versions, of which none is ever taken away."""
        query = select(func.count()).where(
            PromptProfile.workspace_id == self._workspace_id, PromptProfile.alias_id == alias_id
        )
        return self._session.scalars(query).one()

    def profiles(self, alias_id: str) -> Sequence[PromptProfile]:
        """Newest first."""
        query = select(PromptProfile).where(
            PromptProfile.workspace_id == self._workspace_id, PromptProfile.alias_id == alias_id
        )
        return self._session.scalars(query.order_by(PromptProfile.version.desc())).all()

    def shadow_answers(self, alias_id: str, page: PageRequest) -> Page[ShadowAnswer]:
        """Newest first."""
        query = select(ShadowAnswer).where(
            ShadowAnswer.workspace_id == self._workspace_id, ShadowAnswer.alias_id == alias_id
        )
        if page.after:
            query = query.where(ShadowAnswer.id < page.after)
        query = query.order_by(ShadowAnswer.id.desc()).limit(page.limit + 1)
        return Page.cut(self._session.scalars(query).all(), page.limit)


class ExpiredShadowRepository:
    """Across workspaces: needs a system session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def remove(self, *, older_than_days: int, limit: int) -> int:
        expired = (
            select(ShadowAnswer.id)
            .where(ShadowAnswer.created_at < func.now() - timedelta(days=older_than_days))
            .order_by(ShadowAnswer.created_at)
            .limit(limit)
        )
        gone = delete(ShadowAnswer).where(ShadowAnswer.id.in_(expired)).returning(ShadowAnswer.id)
        return len(self._session.execute(gone).all())
