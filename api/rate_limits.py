"""How often one may ask, by API key or by person in a browser; by address while nobody knows who it is.

Counted before anything is read or looked up, so that a request too many costs next to nothing. Who a key or a session
belongs to is learned from the requests that it opened: until its first, and after a refusal, it counts as its address,
and so does whoever tries keys. New jobs are counted by workspace. While nobody can count, requests pass; only new jobs
are then counted in the database (`JOBS_COUNTED`).
"""

import math
import re
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.browser import session_cookie_name
from api.dependencies import PrincipalDep, SessionDep, SettingsDep
from api.errors import response_of
from api.transactions import begin_early
from api.web_page import is_api_path
from core.backends.limits import RateLimiter, Taken
from core.config import Settings
from core.errors import RateLimited
from core.jobs import service as jobs
from core.kit.hashing import sha256_bytes
from core.kit.sites import site_of
from core.workspaces.principal import Principal

_MAX_KNOWN = 10_000
# what a load balancer asks each second
_FREE = frozenset({"/v1/health"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# where passwords, codes and the tokens of links are tried
_GUESSED_AT = ("/v1/auth/", "/v1/invitations/accept", "/v1/invitations/lookup", "/v1/setup")
_STARTS_A_JOB = re.compile(
    r"/v1/(fine_tuning/jobs(/[^/]+/clone)?|datasets(/[^/]+/(versions|draft/save))?|dataset_versions/[^/]+/(changes|scaling_studies)"
    r"|erasures/[^/]+/confirm|model_exports|model_imports|(preferences|request_log)/dataset)"
)


class _Kind(StrEnum):
    READS = "reads"
    WRITES = "writes"
    JOBS = "jobs"
    UPLOADS = "uploads"
    CHAT = "chat"
    PUBLIC = "public"
    SIGN_IN = "sign_in"


_WORDS = {
    _Kind.READS: "requests that read",
    _Kind.WRITES: "requests that change something",
    _Kind.JOBS: "new jobs",
    _Kind.UPLOADS: "uploads",
    _Kind.CHAT: "questions to models",
    _Kind.PUBLIC: "requests without a valid key",
    _Kind.SIGN_IN: "attempts to sign in",
}
_BY_ADDRESS = frozenset({_Kind.PUBLIC, _Kind.SIGN_IN})


@dataclass(slots=True)
class Counted:
    """What the limiter said of a request: `taken` is None while it cannot tell."""

    taken: Taken | None


@dataclass(frozen=True, slots=True)
class _Whose:
    """Whose a credential is: a key or a person, and in which workspace."""

    id: str
    workspace_id: str


class RateLimits:
    """Stands inside `RequestContext`, which tells it the client's address."""

    def __init__(self, app: ASGIApp, *, limiter: RateLimiter, settings: Settings) -> None:
        self._app = app
        self._limiter = limiter
        self._cookie = session_cookie_name(settings)
        self._per_minute = {kind: int(getattr(settings, f"rate_limit_{kind}")) for kind in _Kind}
        # credential (hashed) to whose it is, the least recently used first
        self._known: OrderedDict[str, _Whose] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if scope["type"] != "http" or not is_api_path(path) or path in _FREE:
            await self._app(scope, receive, send)
            return
        credential = self._credential(Headers(scope=scope))
        whose = self._whose(credential)
        kind = _kind(scope["method"], path, is_known=whose is not None)
        who = _counted_by(kind, whose, scope["state"]["client_address"])
        limit = self._per_minute[kind]
        taken = await self._limiter.take(f"{kind}:{who}", per_minute=limit) if limit else None
        if limit:
            scope["state"]["counted"] = Counted(taken)
        if taken is not None and not taken.is_allowed:
            refusal = response_of(_too_many(kind, taken))
            refusal.headers.update(_limit_headers(taken, "requests"))
            await refusal(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                limits = {} if taken is None else _limit_headers(taken, "requests")
                if (tokens := scope["state"].get("tokens_taken")) is not None:
                    limits |= _limit_headers(tokens, "tokens")
                raw = [(name.encode(), value.encode()) for name, value in limits.items()]
                message["headers"] = [*message.get("headers", ()), *raw]
                self._learn(credential, scope["state"].get("principal"), message["status"])
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _credential(self, headers: Headers) -> str | None:
        """As it is read by who looks it up: another spelling of a key is no other key."""
        sent = headers.get("authorization")
        if sent is not None:
            scheme, _, secret = sent.partition(" ")
            sent = f"{scheme.lower()} {secret.strip()}"
        elif self._cookie in (cookies := "; ".join(headers.getlist("cookie"))):
            sent = cookie_parser(cookies).get(self._cookie)
        return sha256_bytes(sent.encode()) if sent else None

    def _whose(self, credential: str | None) -> _Whose | None:
        if credential is None or credential not in self._known:
            return None
        self._known.move_to_end(credential)
        return self._known[credential]

    def _learn(self, credential: str | None, principal: Principal | None, status: int) -> None:
        if credential is None:
            return
        if status == HTTPStatus.UNAUTHORIZED:
            self._known.pop(credential, None)
        elif principal is not None:
            self._known[credential] = _Whose(principal.api_key_id or principal.user_id, principal.workspace_id)
            if len(self._known) > _MAX_KNOWN:
                self._known.popitem(last=False)


def _counted_jobs(request: Request, principal: PrincipalDep, session: SessionDep, settings: SettingsDep) -> None:
    """While nobody else counts, the table of jobs does: what costs GPUs must not become free when Valkey is away."""
    counted: Counted | None = getattr(request.state, "counted", None)
    if counted is None or counted.taken is not None or not settings.rate_limit_jobs:
        return
    begin_early()
    made = jobs.num_made_lately(session, workspace_id=principal.workspace_id, within_s=60)
    if made >= settings.rate_limit_jobs:
        raise RateLimited(
            f"This workspace may start {settings.rate_limit_jobs} jobs a minute. Try again in a minute.",
            details={"retry_after_s": 60},
        )


# for every route that starts a job: `dependencies=[JOBS_COUNTED]`
JOBS_COUNTED = Depends(_counted_jobs)


def _kind(method: str, path: str, *, is_known: bool) -> _Kind:
    if path.startswith(_GUESSED_AT) and method not in _SAFE:
        return _Kind.SIGN_IN
    if not is_known:
        return _Kind.PUBLIC
    if method in _SAFE:
        # a whole log is read for one request, and that it was is written down
        return _Kind.WRITES if path.endswith("/export") else _Kind.READS
    if path.startswith("/v1/chat/"):
        return _Kind.CHAT
    if path in {"/v1/files", "/v1/files/import"} or (path.startswith("/v1/uploads/") and path.endswith("/parts")):
        return _Kind.UPLOADS
    return _Kind.JOBS if _STARTS_A_JOB.fullmatch(path) else _Kind.WRITES


def _counted_by(kind: _Kind, whose: _Whose | None, address: str) -> str:
    """New jobs by the workspace, as in the database: whoever makes another key may not start as many again."""
    if whose is None or kind in _BY_ADDRESS:
        return site_of(address) or address
    return whose.workspace_id if kind is _Kind.JOBS else whose.id


def _too_many(kind: _Kind, taken: Taken) -> RateLimited:
    whose = "From one address" if kind in _BY_ADDRESS else "With one key, or in one's browser,"
    if kind is _Kind.JOBS:
        whose = "In one workspace"
    return RateLimited(
        f"{whose} {taken.limit:,} {_WORDS[kind]} a minute are allowed. Try again in {duration(taken.retry_after_s)}.",
        details={"retry_after_s": taken.retry_after_s},
    )


def _limit_headers(taken: Taken, what: str) -> dict[str, str]:
    """By the names that OpenAI's clients know; the reset is when all of the limit is there again."""
    headers = {
        f"x-ratelimit-limit-{what}": str(taken.limit),
        f"x-ratelimit-remaining-{what}": str(taken.remaining),
        f"x-ratelimit-reset-{what}": duration(taken.full_in_s),
    }
    if not taken.is_allowed:
        headers["retry-after-ms"] = str(math.ceil(taken.retry_after_s * 1000))
    return headers


def duration(seconds: float) -> str:
    """As the wire writes it: `120ms`, `1.5s`, `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{int(rest)}s" if minutes else f"{round(rest, 3):g}s"
