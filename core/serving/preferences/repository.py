"""Queries of preferences."""

from collections.abc import Iterator, Sequence

from sqlalchemy import cast, func, select
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.orm import Session

from core.identity.models import User
from core.kit.pagination import Page, PageRequest
from core.serving.preferences.models import Preference
from core.serving.preferences.types import PreferenceFilter, VoteVerdict

_PER_FETCH = 500


class PreferenceRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, preference: Preference) -> Preference:
        self._session.add(preference)
        self._session.flush()
        return preference

    def get(self, preference_id: str, *, for_update: bool = False) -> Preference | None:
        query = select(Preference).where(Preference.workspace_id == self._workspace_id, Preference.id == preference_id)
        return self._session.scalar(query.with_for_update() if for_update else query)

    def page(self, page: PageRequest, wanted: PreferenceFilter) -> Page[Preference]:
        """Newest first."""
        query = select(Preference).where(Preference.workspace_id == self._workspace_id)
        if page.after is not None:
            query = query.where(Preference.id < page.after)
        if wanted.verdict is not None:
            query = query.where(Preference.verdict == wanted.verdict)
        query = query.order_by(Preference.id.desc()).limit(page.limit + 1)
        return Page.cut(self._session.scalars(query).all(), page.limit)

    def remove(self, preference: Preference) -> None:
        self._session.delete(preference)
        self._session.flush()

    def chosen(self, *, limit: int) -> Iterator[Preference]:
        """Those that prefer an answer and have their words still: the newest of them, in constant memory."""
        query = (
            select(Preference)
            .where(
                Preference.workspace_id == self._workspace_id,
                Preference.verdict == VoteVerdict.BEST,
                Preference.erased_at.is_(None),
            )
            .order_by(Preference.id.desc())
            .limit(limit)
        )
        for preference in self._session.scalars(query.execution_options(yield_per=_PER_FETCH)):
            yield preference
            self._session.expunge(preference)

    def blind_votes(self, *, limit: int) -> Iterator[tuple[VoteVerdict, int | None, list[dict[str, object]]]]:
        """The newest; of each the verdict, the place of the best and who answered."""
        query = (
            # without their words, which may be megabytes
            select(
                Preference.verdict,
                Preference.best,
                func.jsonb_path_query_array(Preference.answers, cast("$[*].voice", JSONPATH), type_=JSONB).label(
                    "voices"
                ),
            )
            .where(Preference.workspace_id == self._workspace_id, Preference.is_blind)
            .order_by(Preference.id.desc())
            .limit(limit)
        )
        for row in self._session.execute(query.execution_options(yield_per=_PER_FETCH)):
            yield row.verdict, row.best, row.voices

    def names_of(self, user_ids: Sequence[str | None]) -> dict[str | None, str]:
        """People's only: a service has none."""
        query = select(User.id, User.name).where(User.id.in_([one for one in user_ids if one is not None]))
        return {row.id: row.name for row in self._session.execute(query)}
