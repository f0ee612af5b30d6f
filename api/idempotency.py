"""Creates that happen once, however often they are sent.

    @router.post("/v1/datasets")
    def create_dataset(body: NewDataset, once: OnceDep, session: SessionDep, …) -> DatasetBody:
        return once.answer(DatasetBody, lambda: dataset_body(service.create(session, …)))

`once.answer(Model, work)` runs `work` or gives the first answer again (with the header `idempotent-replayed: true`):

- With an `Idempotency-Key` header (at most 255 characters), for 24 hours: the same key and body get the first answer,
  another body 422 `idempotency_key_reused`, a request still being worked on 409 `request_in_flight`.
- Without one, for the official clients, which retry a create after a lost answer and say so in
  `x-stainless-retry-count`: a retry with the same caller, path and body within `settings.idempotency_window_s` gets
  the first answer.

The answer is stored in the session of the work, so both commit or neither does. A failure is not stored: a retry of it
is a new attempt. Do not use it where the answer holds a secret (API keys), for it would be stored in clear.
Multipart bodies are not hashed; for them only `Idempotency-Key` counts. An uploaded file is hashed as it arrives:
`attempt_of` says which create it is, and `core.datasets.incoming` does the rest.
"""

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Request, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from api.dependencies import PrincipalDep, SessionDep, SettingsDep
from core.config import Settings
from core.errors import Invalid
from core.idempotency import service
from core.idempotency.service import Attempt
from core.kit.hashing import sha256_bytes
from core.workspaces.principal import Principal

Answer = TypeVar("Answer", bound=BaseModel)

_MAX_KEY_CHARS = 255


class Once:
    def __init__(self, session: Session, response: Response, attempt: Attempt | None) -> None:
        self._session = session
        self._response = response
        self._attempt = attempt

    def answer(self, model: type[Answer], work: Callable[[], Answer]) -> Answer:
        """The first answer to this request if there was one, else what `work` returns."""
        if self._attempt is None:
            return work()
        kept = service.first_answer(self._session, self._attempt)
        if kept is not None:
            self._response.headers["idempotent-replayed"] = "true"
            return model.model_validate(kept)
        made = work()
        service.keep(self._session, self._attempt, made.model_dump(mode="json"))
        return made


def attempt_of(request: Request, principal: Principal, settings: Settings, request_sha256: str) -> Attempt:
    """Which create this is. Raises `Invalid` for a key that is none."""
    route = f"{request.method} {request.url.path}"
    key = request.headers.get("idempotency-key")
    if key is not None:
        if not 1 <= len(key) <= _MAX_KEY_CHARS:
            raise Invalid(f"An Idempotency-Key has 1 to {_MAX_KEY_CHARS} characters.", code="invalid_idempotency_key")
        return Attempt(principal.workspace_id, route, f"key:{key}", request_sha256)
    caller = principal.api_key_id or principal.user_id
    return Attempt(
        principal.workspace_id,
        route,
        f"auto:{caller}:{request_sha256}",
        request_sha256,
        max_age_s=settings.idempotency_window_s,
        may_replay=request.headers.get("x-stainless-retry-count", "0") != "0",
    )


async def _once(
    request: Request, response: Response, principal: PrincipalDep, session: SessionDep, settings: SettingsDep
) -> Once:
    is_multipart = request.headers.get("content-type", "").startswith("multipart/")
    if is_multipart and "idempotency-key" not in request.headers:
        return Once(session, response, None)
    body = b"" if is_multipart else await request.body()
    return Once(session, response, attempt_of(request, principal, settings, sha256_bytes(body)))


OnceDep = Annotated[Once, Depends(_once)]
