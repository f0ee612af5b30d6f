"""The peer of `bench/api.py`: a bare FastAPI service that does the same work by hand, and nothing else.

A key is looked up by its hash with the person it acts for, a job is read by its id in that person's workspace, and both
are one answer: FastAPI, SQLAlchemy, uvicorn, as their tutorials have it. No row-level security, no idempotency, no log
line, no headers, no metrics; the job is sent as its columns.
"""

import hashlib
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, sessionmaker

_KEY = text(
    "select k.workspace_id, m.role, u.name from api_keys k "
    "join memberships m on m.user_id = k.created_by and m.workspace_id = k.workspace_id "
    "join users u on u.id = k.created_by where k.token_sha256 = :digest and k.revoked_at is null"
)
_SYSTEM = text("select set_config('app.scope', 'system', true)")
_JOB = "select * from runs r join jobs j on j.id = r.job_id where r.workspace_id = :workspace_id"
_ONE = text(f"{_JOB} and r.id = :id")
_MANY = text(f"{_JOB} order by r.id desc limit 21")


class Body(BaseModel):
    id: str
    job: dict[str, Any]


class ListBody(BaseModel):
    data: list[Body]


def create_app(url: str) -> FastAPI:
    app = FastAPI()
    sessions = sessionmaker(create_engine(url, pool_size=35))

    def open_session() -> Iterator[Session]:
        with sessions() as session:
            # the tables are guarded, and this service does not care
            session.execute(_SYSTEM)
            yield session

    SessionDep = Annotated[Session, Depends(open_session)]  # noqa: N806 - a type

    def workspace_of(session: SessionDep, authorization: Annotated[str, Header()]) -> str:
        digest = hashlib.sha256(authorization.removeprefix("Bearer ").encode()).hexdigest()
        found = session.execute(_KEY, {"digest": digest}).one_or_none()
        if found is None:
            raise HTTPException(401)
        return str(found.workspace_id)

    WorkspaceDep = Annotated[str, Depends(workspace_of)]  # noqa: N806 - a type

    @app.get("/v1/fine_tuning/jobs/{job_id}")
    def retrieve(job_id: str, session: SessionDep, workspace_id: WorkspaceDep) -> Body:
        found = session.execute(_ONE, {"workspace_id": workspace_id, "id": job_id}).mappings().one_or_none()
        if found is None:
            raise HTTPException(404)
        return Body(id=found["id"], job=dict(found))

    @app.get("/v1/fine_tuning/jobs")
    def list_jobs(session: SessionDep, workspace_id: WorkspaceDep) -> ListBody:
        found = session.execute(_MANY, {"workspace_id": workspace_id}).mappings()
        return ListBody(data=[Body(id=row["id"], job=dict(row)) for row in found])

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[1]), port=int(sys.argv[2]), log_level="warning", access_log=False)
