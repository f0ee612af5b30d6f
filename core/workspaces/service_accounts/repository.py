from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.workspaces.models import ServiceAccount
from core.workspaces.roles import Role


class ServiceAccountRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, *, name: str, role: Role, created_by: str) -> ServiceAccount:
        account = ServiceAccount(
            id=new_id("svc_"), workspace_id=self._workspace_id, name=name, role=role.value, created_by=created_by
        )
        self._session.add(account)
        self._session.flush()
        self._session.refresh(account)
        return account

    def get(self, account_id: str) -> ServiceAccount | None:
        return self._session.scalar(
            select(ServiceAccount).where(
                ServiceAccount.workspace_id == self._workspace_id,
                ServiceAccount.id == account_id,
                ServiceAccount.deleted_at.is_(None),
            )
        )

    def page(self, page: PageRequest) -> Page[ServiceAccount]:
        query = (
            select(ServiceAccount)
            .where(ServiceAccount.workspace_id == self._workspace_id, ServiceAccount.deleted_at.is_(None))
            .order_by(ServiceAccount.id.desc())
            .limit(page.limit + 1)
        )
        if page.after:
            query = query.where(ServiceAccount.id < page.after)
        return Page.cut(self._session.scalars(query).all(), page.limit)

    def remove(self, account_id: str) -> None:
        self._session.execute(
            update(ServiceAccount)
            .where(ServiceAccount.workspace_id == self._workspace_id, ServiceAccount.id == account_id)
            .values(deleted_at=func.now())
        )
