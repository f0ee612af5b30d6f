"""Requests by route, as this process answered them; the rest of the metrics is the same from every process."""

import time

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# when each series began, which would be as many series again
disable_created_metrics()  # type: ignore[no-untyped-call] # the library does not say that it returns nothing

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class HttpMetrics:
    """One of these an application, with a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "tailorbird_http_requests",
            "Requests answered by this process.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "tailorbird_http_request_seconds",
            "From a request's arrival to the end of its answer.",
            ["route", "method"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )

        # to look one up by its words takes longer than to count
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def note(self, *, route: str, method: str, status: int, seconds: float) -> None:
        known = method if method in _METHODS else "OTHER"
        series = self._series.get((route, known, status))
        if series is None:
            series = self._requests.labels(route, known, str(status)), self._seconds.labels(route, known)
            self._series[route, known, status] = series
        num, duration = series
        num.inc()
        duration.observe(seconds)


class RequestMetrics:
    """Counts what passes. Templates and not paths, and one word for all that is no route: few series, whoever asks."""

    def __init__(self, app: ASGIApp, *, metrics: HttpMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def noted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted_send)
        finally:
            self._metrics.note(
                route=getattr(scope.get("route"), "path", None) or "other",
                method=scope["method"],
                # 499, as nginx has it: the client left before there was an answer
                status=status or 499,
                seconds=time.perf_counter() - started,
            )
