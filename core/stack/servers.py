"""Postgres, Valkey and S3, started together from one home and stopped in reverse order."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from core.stack import postgres, seaweedfs, valkey
from core.stack.home import Home, held_home
from core.stack.leftovers import end_leftovers, write_down
from core.stack.ports import choose
from core.stack.processes import Child, stop_all

_S3_PREFIX = "s3:"
EVERY_SERVER = frozenset({"postgres", "valkey", "s3"})


@dataclass(frozen=True, slots=True)
class ServerUrls:
    """How to reach the embedded servers. What was not started is empty."""

    database_owner_url: str = ""
    database_url: str = ""
    redis_url: str = ""
    s3_endpoint_url: str = ""
    s3_access_key_id: str = ""
    s3_secret_access_key: str = ""
    s3_bucket: str = seaweedfs.BUCKET


@dataclass(slots=True)
class RunningServers:
    urls: ServerUrls
    children: list[Child] = field(default_factory=list)


@contextmanager
def embedded_servers(home: Path, *, is_durable: bool = True) -> Iterator[ServerUrls]:
    """All three servers, for the time of the block. Tests that need no durability start and write faster without."""
    with held_home(home) as held:
        end_leftovers(held)
        with servers(held, EVERY_SERVER, is_durable=is_durable) as running:
            yield running.urls


@contextmanager
def servers(home: Home, wanted: frozenset[str], *, is_durable: bool = True) -> Iterator[RunningServers]:
    """The wanted ones of the three servers, ready to use, from a home that is already held."""
    started: list[Child] = []
    try:
        urls = _start(home, wanted, started, is_durable=is_durable)
        yield RunningServers(urls, started)
    finally:
        stop_all(started)
        write_down(home, [])


def _start(home: Home, wanted: frozenset[str], started: list[Child], *, is_durable: bool) -> ServerUrls:
    secrets = home.secrets()
    ports = choose(["postgres", "valkey", *(_S3_PREFIX + name for name in seaweedfs.PORTS)], home.read("ports.json"))
    home.write("ports.json", dict(ports))
    s3_ports = {name: ports[_S3_PREFIX + name] for name in seaweedfs.PORTS}
    # all are started before any is waited for; the slowest, a first Postgres, decides
    if "s3" in wanted:
        started.append(seaweedfs.start(home, secrets, s3_ports))
    if "valkey" in wanted:
        started.append(valkey.start(home, secrets, ports["valkey"]))
    if "postgres" in wanted:
        started.append(postgres.start(home, secrets, ports["postgres"], is_durable=is_durable))
    write_down(home, started)
    by_name = {child.name: child for child in started}
    if "postgres" in wanted:
        postgres.prepare(by_name["postgres"], secrets, ports["postgres"])
    if "valkey" in wanted:
        valkey.prepare(by_name["valkey"], secrets, ports["valkey"])
    if "s3" in wanted:
        seaweedfs.prepare(by_name["s3"], secrets, s3_ports)
    return ServerUrls(
        database_owner_url=postgres.url(postgres.OWNER, secrets.database_owner_password, ports["postgres"]),
        database_url=postgres.url(postgres.APP, secrets.database_app_password, ports["postgres"]),
        redis_url=valkey.url(secrets.redis_password, ports["valkey"]),
        s3_endpoint_url=seaweedfs.url(s3_ports),
        s3_access_key_id=secrets.s3_access_key_id,
        s3_secret_access_key=secrets.s3_secret_access_key,
    )
