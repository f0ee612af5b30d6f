"""Postgres, Valkey and S3 for drills: real, each behind a fault proxy, and free to be killed, frozen and restarted.

They live as long as the test session and belong to nobody else: the servers of the other tests are not touched.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil
from sqlalchemy import create_engine, text

from core.db import migrate
from core.stack.home import held_home
from core.stack.leftovers import end_leftovers, write_down
from core.stack.processes import Child, stop_all
from core.stack.servers import EVERY_SERVER, ServerUrls, embedded
from core.stack.supervisor import Service
from tests.faults.proxy import FaultProxy


@dataclass(slots=True)
class Server:
    """One embedded server. Everything here works again after `start`."""

    service: Service
    child: Child

    def start(self) -> None:
        """Start it, on the same port as before, and wait until it answers."""
        if self.child.exit_code() is None:
            return
        self.child = self.service.start()
        self.service.prepare(self.child)

    def kill(self) -> None:
        """SIGKILL to it and all that it started."""
        family = [self.child.process.pid, *(one.pid for one in self._children())]
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.child.process.wait()
        _gone(family)

    def stop(self) -> None:
        """As an admin stops it; Postgres in its mode "fast"."""
        stop_all([self.child])

    def restart(self) -> float:
        """Stop and start; the seconds that it was away."""
        began = time.monotonic()
        self.stop()
        self.start()
        return time.monotonic() - began

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.child.exit_code() is None:
            for process in (psutil.Process(self.child.process.pid), *self._children()):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)

    def _children(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.child.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


@dataclass(slots=True)
class ArenaServers:
    postgres: Server
    valkey: Server
    s3: Server
    direct: ServerUrls
    """Past the proxies: for the checker, and for what a drill does beside its fault."""
    proxied: ServerUrls
    database_proxy: FaultProxy
    redis_proxy: FaultProxy
    s3_proxy: FaultProxy
    seeded_tables: frozenset[str]

    @property
    def proxies(self) -> tuple[FaultProxy, FaultProxy, FaultProxy]:
        return self.database_proxy, self.redis_proxy, self.s3_proxy

    def recover(self) -> None:
        """All servers up, all proxies without faults: how every drill begins."""
        for server in (self.postgres, self.valkey, self.s3):
            server.thaw()
            server.start()
        for proxy in self.proxies:
            proxy.heal()
            proxy.counts.clear()

    def empty(self) -> None:
        """Nothing in the database but what migrations put there."""
        engine = create_engine(self.direct.database_owner_url, connect_args={"options": "-c lock_timeout=10s"})
        with engine.begin() as connection:
            connection.execute(text("select set_config('app.scope', 'system', true)"))
            tables = _tables(connection.execute(text(_TABLES)).scalars().all())
            plain = [name for name in tables if name not in self.seeded_tables]
            probes = " union all ".join(f"select '{name}' where exists (select from {name})" for name in plain)
            filled = connection.scalars(text(probes)).all()
            if filled:
                connection.execute(text(f"truncate {', '.join(filled)} cascade"))
        engine.dispose()


_TABLES = "select tablename from pg_tables where schemaname = 'public'"


@contextmanager
def arena_servers(home: Path, *, seed: int = 0) -> Iterator[ArenaServers]:
    with held_home(home) as held:
        end_leftovers(held)
        direct, services = embedded(held, EVERY_SERVER)
        children = {service.name: service.start() for service in services}
        write_down(held, children.values())
        servers = {service.name: Server(service, children[service.name]) for service in services}
        proxies: list[FaultProxy] = []
        try:
            for server in servers.values():
                server.service.prepare(server.child)
            migrate.upgrade(direct.database_owner_url, direct.database_url)
            for url in (direct.database_url, direct.redis_url, direct.s3_endpoint_url):
                address = urlsplit(url)
                is_http = address.scheme == "http"
                proxies.append(FaultProxy((str(address.hostname), int(address.port or 0)), is_http=is_http, seed=seed))
                proxies[-1].start()
            yield ArenaServers(
                **servers,
                direct=direct,
                proxied=_through(direct, proxies),
                database_proxy=proxies[0],
                redis_proxy=proxies[1],
                s3_proxy=proxies[2],
                seeded_tables=_seeded(direct),
            )
        finally:
            for proxy in proxies:
                proxy.stop()
            for server in servers.values():
                server.thaw()
            stop_all([server.child for server in servers.values()])


def _through(direct: ServerUrls, proxies: list[FaultProxy]) -> ServerUrls:
    database, redis, s3 = proxies
    return replace(
        direct,
        database_url=_with_port(direct.database_url, database.port),
        database_owner_url=_with_port(direct.database_owner_url, database.port),
        redis_url=_with_port(direct.redis_url, redis.port),
        s3_endpoint_url=_with_port(direct.s3_endpoint_url, s3.port),
    )


def _with_port(url: str, port: int) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{port}")))


def _seeded(direct: ServerUrls) -> frozenset[str]:
    engine = create_engine(direct.database_owner_url)
    with engine.begin() as connection:
        connection.execute(text("select set_config('app.scope', 'system', true)"))
        names = connection.execute(text(_TABLES)).scalars().all()
        seeded = {name for name in names if connection.scalar(text(f"select exists (select from {name})"))}
    engine.dispose()
    return frozenset(seeded | {"alembic_version"})


def _tables(names: object) -> list[str]:
    return sorted(str(name) for name in names)  # type: ignore[attr-defined]


def _gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{pids} did not end")
        time.sleep(0.02)
