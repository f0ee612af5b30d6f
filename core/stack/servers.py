"""Postgres, Valkey and S3 from one home: as services for the supervisor, and as a context for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.stack import postgres, seaweedfs, valkey
from core.stack.home import Home, Secrets, held_home
from core.stack.leftovers import end_leftovers
from core.stack.ports import choose
from core.stack.supervisor import Service, Supervisor

_S3_PREFIX = "s3:"
EVERY_SERVER = frozenset({"postgres", "valkey", "s3"})


@dataclass(frozen=True, slots=True)
class ServerUrls:
    """How to reach the embedded servers."""

    database_owner_url: str
    database_url: str
    redis_url: str
    s3_endpoint_url: str
    s3_access_key_id: str
    s3_secret_access_key: str
    s3_bucket: str = seaweedfs.BUCKET


@contextmanager
def embedded_servers(home: Path, *, is_durable: bool = True) -> Iterator[ServerUrls]:
    """All three servers, for the time of the block. `is_durable=False` is quicker and may lose data in a power cut."""
    with held_home(home) as held:
        end_leftovers(held)
        urls, services = embedded(held, EVERY_SERVER, is_durable=is_durable)
        supervisor = Supervisor(held, say=print)
        try:
            supervisor.start(services)
            yield urls
        finally:
            supervisor.stop()


def embedded(home: Home, wanted: frozenset[str], *, is_durable: bool = True) -> tuple[ServerUrls, list[Service]]:
    """The wanted servers as services, and where they will answer. The slowest, a first Postgres, is followed last."""
    secrets = home.secrets()
    ports = remembered_ports(home, ["postgres", "valkey", *(_S3_PREFIX + name for name in seaweedfs.PORTS)])
    s3_ports = {name: ports[_S3_PREFIX + name] for name in seaweedfs.PORTS}
    services = [
        Service(
            "s3",
            lambda: seaweedfs.start(home, secrets, s3_ports),
            lambda child: seaweedfs.prepare(child, secrets, s3_ports),
        ),
        Service(
            "valkey",
            lambda: valkey.start(home, secrets, ports["valkey"]),
            lambda child: valkey.prepare(child, secrets, ports["valkey"]),
        ),
        Service(
            "postgres",
            lambda: postgres.start(home, secrets, ports["postgres"], is_durable=is_durable),
            lambda child: postgres.prepare(child, secrets, ports["postgres"]),
        ),
    ]
    return _urls(secrets, ports), [service for service in services if service.name in wanted]


def running_urls(home: Home) -> ServerUrls:
    """Where the servers of a home answer that runs, for a program beside it."""
    return _urls(home.secrets(), home.read("ports.json"))


def _urls(secrets: Secrets, ports: dict[str, int]) -> ServerUrls:
    return ServerUrls(
        database_owner_url=postgres.url(postgres.OWNER, secrets.database_owner_password, ports["postgres"]),
        database_url=postgres.url(postgres.APP, secrets.database_app_password, ports["postgres"]),
        redis_url=valkey.url(secrets.redis_password, ports["valkey"]),
        s3_endpoint_url=seaweedfs.url({name: ports[_S3_PREFIX + name] for name in seaweedfs.PORTS}),
        s3_access_key_id=secrets.s3_access_key_id,
        s3_secret_access_key=secrets.s3_secret_access_key,
    )


def remembered_ports(home: Home, names: list[str]) -> dict[str, int]:
    """A port for each name, the same as last time where it is still free."""
    known = home.read("ports.json")
    ports = choose(names, known)
    home.write("ports.json", known | ports)
    return ports
