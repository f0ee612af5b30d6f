"""The route table of an app, for tests that walk it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from api.rate_limits import JOBS_COUNTED
from core.workspaces.roles import Permission

_NOTHING = object()
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    # whether it asks who is there at all, and for which right
    is_guarded: bool
    permission: Permission | None
    # whether it counts the jobs that the workspace starts
    counts_jobs: bool

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in its path."""
        return tuple(_PARAMETER.findall(self.path))

    @property
    def has_body(self) -> bool:
        return self.method in {"POST", "PUT", "PATCH"}

    @property
    def is_write(self) -> bool:
        return self.permission is not None and not self.permission.endswith((":read", ":use"))

    def url(self, values: Mapping[str, str]) -> str:
        """The path with every parameter filled in."""
        return _PARAMETER.sub(lambda found: values[found[1]], self.path)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def routes_of(app: FastAPI) -> list[Route]:
    found = []
    for context in iter_route_contexts(app.routes):
        dependant = getattr(context, "dependant", None)
        permissions = list(_permissions(dependant)) if dependant else []
        counts_jobs = (
            any(inner.call is JOBS_COUNTED.dependency for inner in dependant.dependencies) if dependant else False
        )
        found += [
            Route(method, context.path, bool(permissions), permissions[0] if permissions else None, counts_jobs)
            for method in sorted((context.methods or set()) - {"HEAD"})
        ]
    return found


def _permissions(dependant: Dependant) -> Iterator[Permission | None]:
    permission = getattr(dependant.call, "permission", _NOTHING)
    if permission is not _NOTHING:
        yield permission  # type: ignore[misc]
    for inner in dependant.dependencies:
        yield from _permissions(inner)
