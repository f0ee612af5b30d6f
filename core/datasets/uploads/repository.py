from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, text, update
from sqlalchemy.orm import Session

from core.datasets.models import Upload, UploadPart
from core.datasets.types import UploadStatus


class UploadRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, upload: Upload, *, expires_after_s: int) -> Upload:
        upload.expires_at = self._session.execute(select(func.now() + timedelta(seconds=expires_after_s))).scalar_one()
        self._session.add(upload)
        self._session.flush()
        return upload

    def lock_quota(self) -> None:
        """One new upload of the workspace at a time, until the transaction ends."""
        self._session.execute(
            text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"uploads {self._workspace_id}"}
        )

    def open(self) -> tuple[int, int]:
        """How many are open, and the bytes that were announced for them."""
        row = self._session.execute(
            select(func.count(), func.coalesce(func.sum(Upload.num_bytes), 0)).where(
                Upload.workspace_id == self._workspace_id,
                Upload.status == UploadStatus.PENDING,
                Upload.expires_at > func.now(),
            )
        ).one()
        return int(row[0]), int(row[1])

    def get(self, upload_id: str) -> Upload | None:
        return self._session.scalar(self._own(upload_id).execution_options(populate_existing=True))

    def lock(self, upload_id: str) -> Upload | None:
        """As it is now, held until the transaction ends."""
        query = self._own(upload_id).with_for_update(key_share=True)
        return self._session.scalar(query.execution_options(populate_existing=True))

    def expire(self, upload_id: str, *, claim_s: float) -> None:
        """Have its status say that its time is over, if it is and nobody puts its file together."""
        self._session.execute(
            update(Upload)
            .where(Upload.workspace_id == self._workspace_id, Upload.id == upload_id, *_is_overdue(claim_s))
            .values(status=UploadStatus.EXPIRED)
        )

    def is_claimed(self, upload_id: str, *, claim_s: float) -> bool:
        query = select(_is_claimed(claim_s)).where(Upload.workspace_id == self._workspace_id, Upload.id == upload_id)
        return bool(self._session.scalar(query))

    def claim(self, upload_id: str, claim: str) -> None:
        self._change(upload_id, claim=claim, claimed_at=func.now())

    def release(self, upload_id: str, claim: str) -> bool:
        """False if the claim is lost."""
        return self._change(upload_id, Upload.claim == claim, claim=None, claimed_at=None)

    def complete(self, upload_id: str, claim: str, *, part_ids: Sequence[str], file_id: str) -> bool:
        """False if the claim is lost."""
        return self._change(
            upload_id,
            Upload.claim == claim,
            Upload.status == UploadStatus.PENDING,
            status=UploadStatus.COMPLETED,
            part_ids=list(part_ids),
            file_id=file_id,
            claim=None,
            claimed_at=None,
        )

    def cancel(self, upload_id: str) -> None:
        self._change(upload_id, status=UploadStatus.CANCELLED)

    def prolong(self, upload_id: str, *, expires_after_s: int) -> None:
        """As long as parts come it stays open."""
        until = func.now() + timedelta(seconds=expires_after_s)
        self._change(upload_id, expires_at=func.greatest(Upload.expires_at, until))

    def add_part(self, part: UploadPart) -> UploadPart:
        self._session.add(part)
        self._session.flush()
        return part

    def parts(self, upload_id: str) -> Sequence[UploadPart]:
        """In the order of their arrival."""
        return self._session.scalars(
            select(UploadPart)
            .where(UploadPart.workspace_id == self._workspace_id, UploadPart.upload_id == upload_id)
            .order_by(UploadPart.id)
        ).all()

    def received(self, upload_id: str) -> tuple[int, int]:
        """How many parts arrived, and their bytes."""
        row = self._session.execute(
            select(func.count(), func.coalesce(func.sum(UploadPart.num_bytes), 0)).where(
                UploadPart.workspace_id == self._workspace_id, UploadPart.upload_id == upload_id
            )
        ).one()
        return int(row[0]), int(row[1])

    def _change(self, upload_id: str, *conditions: ColumnElement[bool], **values: Any) -> bool:  # noqa: ANN401 - columns
        changed = self._session.execute(
            update(Upload)
            .where(Upload.workspace_id == self._workspace_id, Upload.id == upload_id, *conditions)
            .values(**values)
            .returning(Upload.id)
        )
        return changed.one_or_none() is not None

    def _own(self, upload_id: str) -> Select[Upload]:
        return select(Upload).where(Upload.workspace_id == self._workspace_id, Upload.id == upload_id)


class LeftoverRepository:
    """Across workspaces: needs a system session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def expire(self, *, claim_s: float) -> None:
        self._session.execute(update(Upload).where(*_is_overdue(claim_s)).values(status=UploadStatus.EXPIRED))

    def unswept(self, *, older_than_s: float, limit: int) -> Sequence[Upload]:
        """Uploads that are over, and whose time was over so long ago that no part is still on its way."""
        return self._session.scalars(
            select(Upload)
            .where(
                Upload.swept_at.is_(None),
                Upload.status != UploadStatus.PENDING,
                Upload.expires_at < func.now() - timedelta(seconds=older_than_s),
            )
            .order_by(Upload.expires_at)
            .limit(limit)
        ).all()

    def mark_swept(self, upload_ids: Sequence[str]) -> None:
        self._session.execute(delete(UploadPart).where(UploadPart.upload_id.in_(upload_ids)))
        self._session.execute(update(Upload).where(Upload.id.in_(upload_ids)).values(swept_at=func.now()))


def _is_claimed(claim_s: float) -> ColumnElement[bool]:
    """Somebody puts its file together, and cannot have died long ago."""
    return and_(Upload.claimed_at.is_not(None), Upload.claimed_at > func.now() - timedelta(seconds=claim_s))


def _is_overdue(claim_s: float) -> tuple[ColumnElement[bool], ...]:
    return (
        Upload.status == UploadStatus.PENDING,
        Upload.expires_at <= func.now(),
        or_(Upload.claimed_at.is_(None), Upload.claimed_at <= func.now() - timedelta(seconds=claim_s)),
    )
