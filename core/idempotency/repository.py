from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.idempotency.models import IdempotencyKey


class IdempotencyRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def try_lock(self, *, route: str, key: str) -> bool:
        """Take the key until the transaction ends; False if another transaction has it."""
        return bool(self._session.scalar(text(f"select pg_try_{_LOCK}"), {"name": self._name(route, key)}))

    def lock(self, *, route: str, key: str) -> None:
        """Take the key until the transaction ends, after whoever has it now."""
        self._session.execute(text(f"select pg_{_LOCK}"), {"name": self._name(route, key)})

    def get(self, *, route: str, key: str, max_age_s: int) -> IdempotencyKey | None:
        return self._session.scalar(
            select(IdempotencyKey).where(
                IdempotencyKey.workspace_id == self._workspace_id,
                IdempotencyKey.route == route,
                IdempotencyKey.key == key,
                IdempotencyKey.created_at > func.now() - timedelta(seconds=max_age_s),
            )
        )

    def put(self, *, route: str, key: str, request_sha256: str, answer: dict[str, Any]) -> None:
        fresh = {"request_sha256": request_sha256, "answer": answer, "created_at": func.now()}
        self._session.execute(
            insert(IdempotencyKey)
            .values(workspace_id=self._workspace_id, route=route, key=key, **fresh)
            .on_conflict_do_update(index_elements=["workspace_id", "route", "key"], set_=fresh)
        )

    def remove_older(self, *, max_age_s: int) -> None:
        self._session.execute(
            delete(IdempotencyKey).where(
                IdempotencyKey.workspace_id == self._workspace_id,
                IdempotencyKey.created_at <= func.now() - timedelta(seconds=max_age_s),
            )
        )

    def _name(self, route: str, key: str) -> str:
        return f"{self._workspace_id} {route} {key}"


_LOCK = "advisory_xact_lock(hashtextextended(:name, 0))"
