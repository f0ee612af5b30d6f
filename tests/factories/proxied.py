"""Settings whose Valkey or Postgres is reached through a fault proxy."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from core.config import Settings
from tests.faults.proxy import FaultProxy


@contextmanager
def proxied(settings: Settings, field: str = "redis_url") -> Iterator[tuple[FaultProxy, Settings]]:
    url = urlsplit(getattr(settings, field))
    assert url.hostname
    assert url.port
    proxy = FaultProxy((url.hostname, url.port))
    proxy.start()
    try:
        netloc = url.netloc.replace(f":{url.port}", f":{proxy.port}")
        yield proxy, settings.model_copy(update={field: url._replace(netloc=netloc).geturl()})
    finally:
        proxy.stop()
