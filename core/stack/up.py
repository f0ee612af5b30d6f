"""`tailorbird up`: the whole product on this machine, from nothing, in one process tree."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Never
from urllib.parse import urlsplit

import httpx

from core.backends.blobs import S3BlobStore
from core.config import Settings
from core.db.migrate import upgrade
from core.db.session import SYSTEM, Database
from core.errors import Conflict, Invalid
from core.jobs.kinds import QueueName
from core.stack import first_admin
from core.stack.first_admin import Admin
from core.stack.home import Home, held_home
from core.stack.interruption import Stopped, stoppable
from core.stack.leftovers import end_leftovers, holder
from core.stack.ports import HOST, is_free
from core.stack.processes import Program, spawn, stop_all, wait_until
from core.stack.programs import PROJECT, prepare_base_model, python_service, worker_services
from core.stack.servers import ServerUrls, embedded, remembered_ports, running_urls
from core.stack.supervisor import Supervisor
from core.workers import hardware
from core.workers import service as workers
from core.workspaces import setup

_API_TIMEOUT_S = 60
_INFERENCE_TIMEOUT_S = 180
_HTTP_OK = 200
# processes that run models know no database, no queue and no bucket (ADR 0007)
_NOT_FOR_MODELS = {
    "DATABASE_URL",
    "REDIS_URL",
    "S3_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "TAILORBIRD_SECRET_KEY",
    "TAILORBIRD_ENCRYPTION_KEYS",
    "TAILORBIRD_SMTP_URL",
    "TAILORBIRD_OIDC_CLIENT_SECRET",
    "TAILORBIRD_WORKER_TOKEN",
}
_TOKEN_NAME = "this machine (tailorbird up)"  # noqa: S105 - a name
# which setting, when given, stands in for which embedded server
_STAND_INS = {"postgres": "database_url", "valkey": "redis_url", "s3": "s3_endpoint_url"}


def up(settings: Settings) -> int:
    """Run everything until somebody stops it. Raises `AppError` with one sentence when that cannot be."""
    with stoppable():
        try:
            with held_home(settings.home) as home:
                _run(settings, home)
        except Stopped:
            _say("Stopped. Everything is kept for the next start.")
            return 0


@dataclass(frozen=True, slots=True)
class RunningStack:
    base_url: str
    # None if somebody else made the first admin
    admin: Admin | None
    pid: int


@contextmanager
def running_stack(
    home: Path, *, public_port: int, settings: dict[str, str] | None = None, timeout_s: float = 300
) -> Iterator[RunningStack]:
    """The whole product as its own process tree, for the time of the block: `tailorbird up`, with an admin.

    For programs. A person who starts it makes the first admin in the browser.
    """
    base_url = f"http://{HOST}:{public_port}"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = {"TAILORBIRD_HOME": str(home.absolute()), "TAILORBIRD_PUBLIC_URL": base_url} | (settings or {})
    program = Program(
        name="tailorbird",
        argv=[sys.executable, "-m", "core.cli", "up"],
        log=home / "up.log",
        env={**os.environ, **told},
        cwd=PROJECT,
        stop_timeout_s=120,
    )
    child = spawn(program)
    try:
        wait_until(lambda: is_ready(home, child.process.pid), child, timeout_s=timeout_s)
        admin = first_admin.ensure(Home(home.absolute()), database_url_of(home, told))
        yield RunningStack(base_url, admin, child.process.pid)
    finally:
        stop_all([child])


def database_url_of(home: Path, told: Mapping[str, str] = os.environ) -> str:
    """The database of the stack that runs from this home."""
    return told.get("DATABASE_URL") or running_urls(Home(home.absolute())).database_url


def is_ready(home: Path, pid: int | None = None) -> bool:
    """Whether a stack runs from this home (as process `pid`) and has told that it is ready."""
    state = holder(Home(home.absolute())) or {}
    return bool(state.get("is_ready")) and pid in {None, state["supervisor"]["pid"]}


def _run(settings: Settings, home: Home) -> Never:
    begun = time.monotonic()
    if problems := settings.production_problems():
        raise Invalid("Tailorbird does not start: " + " ".join(problems), code="settings_refused")
    if end_leftovers(home):
        _say("An earlier start was killed; what it left running has been ended.")
    _refuse_taken_port(listening_at(settings))
    _say(f"Tailorbird starts from {home.path}")
    supervisor = Supervisor(home, _say)
    try:
        env = _start_servers(supervisor, settings)
        _start_product(supervisor, settings, env)
        supervisor.note(is_ready=True, api_url=listening_at(settings))
        _greet(settings, home, _setup_link(settings, env), time.monotonic() - begun)
        supervisor.watch()
    finally:
        _say("Stopping …")
        supervisor.stop()


def _start_servers(supervisor: Supervisor, settings: Settings) -> dict[str, str]:
    """Start what no setting names; returns the environment of all our processes."""
    home = supervisor.home
    wanted = frozenset(name for name, field in _STAND_INS.items() if field not in settings.model_fields_set)
    urls, services = embedded(home, wanted)
    if services:
        _say(f"  servers: {', '.join(sorted(service.name for service in services))}")
        supervisor.start(services)
    env = environment(settings, home, urls, wanted)
    owner_url = urls.database_owner_url if "postgres" in wanted else settings.database_owner_url
    if owner_url:
        _say("  tables")
        upgrade(owner_url, env["DATABASE_URL"])
    if "s3" not in wanted:
        S3BlobStore(settings).ensure_bucket()
    return env


def environment(settings: Settings, home: Home, urls: ServerUrls, wanted: frozenset[str]) -> dict[str, str]:
    """What our processes find in their environment: the caller's, with every server named."""
    secrets = home.secrets()
    env = {name: value for name, value in os.environ.items() if name != "DATABASE_OWNER_URL"}
    env |= {
        "TAILORBIRD_HOME": str(home.path),
        "TAILORBIRD_PUBLIC_URL": settings.public_url,
        "TAILORBIRD_FRONTEND_DIST": str(PROJECT / settings.frontend_dist),
        "PYTHONUNBUFFERED": "1",
    }
    if "secret_key" not in settings.model_fields_set:
        env["TAILORBIRD_SECRET_KEY"] = secrets.secret_key
    if "inference_token" not in settings.model_fields_set:
        env["TAILORBIRD_INFERENCE_TOKEN"] = secrets.inference_token
    if "inference_url" not in settings.model_fields_set:
        env["TAILORBIRD_INFERENCE_URL"] = f"http://{HOST}:{remembered_ports(home, ['inference'])['inference']}"
    if "postgres" in wanted:
        env["DATABASE_URL"] = urls.database_url
    if "valkey" in wanted:
        env["REDIS_URL"] = urls.redis_url
    if "s3" in wanted:
        env |= {
            "S3_ENDPOINT_URL": urls.s3_endpoint_url,
            "S3_BUCKET": urls.s3_bucket,
            "AWS_ACCESS_KEY_ID": urls.s3_access_key_id,
            "AWS_SECRET_ACCESS_KEY": urls.s3_secret_access_key,
        }
    return env


def _start_product(supervisor: Supervisor, settings: Settings, env: dict[str, str]) -> None:
    home = supervisor.home
    for_models = {name: value for name, value in env.items() if name not in _NOT_FOR_MODELS}
    _say("  base model (the first time takes about half a minute)")
    prepare_base_model(home, for_models)
    _say("  api, workers, inference runtime")
    env = env | {"TAILORBIRD_WORKER_TOKEN": _let_workers_in(settings, home, env["DATABASE_URL"])}
    gpus = hardware.gpus(env.get("CUDA_VISIBLE_DEVICES"))
    queues = [QueueName.IO, QueueName.CPU, *([QueueName.GPU] if gpus else [])]
    supervisor.start(
        [
            python_service(
                home,
                env,
                "api",
                ["api"],
                lambda: _answers(f"{listening_at(settings)}/v1/ready"),
                timeout_s=_API_TIMEOUT_S,
            ),
            *worker_services(
                home,
                env,
                queues,
                gpus,
                kill_grace_s=settings.kill_grace_s,
                gpus_per_worker=settings.gpus_per_worker,
            ),
            python_service(
                home,
                for_models,
                "inference",
                ["worker.inference"],
                lambda: _answers(f"{env['TAILORBIRD_INFERENCE_URL']}/health", env["TAILORBIRD_INFERENCE_TOKEN"]),
                timeout_s=_INFERENCE_TIMEOUT_S,
            ),
        ]
    )


def _setup_link(settings: Settings, env: dict[str, str]) -> str | None:
    """Where the first admin is made, while there is none."""
    database = Database(env["DATABASE_URL"], pool_size=1)
    try:
        with database.session(SYSTEM) as session:
            told = settings.model_copy(update={"secret_key": env.get("TAILORBIRD_SECRET_KEY", settings.secret_key)})
            return setup.link(session, settings=told)
    finally:
        database.dispose()


def _let_workers_in(settings: Settings, home: Home, database_url: str) -> str:
    """The token of this machine's own workers; a new one if an admin has revoked the last."""
    token = settings.worker_token or home.secrets().worker_token
    database = Database(database_url, pool_size=1)
    try:
        with database.session(SYSTEM) as session:
            if workers.register_token(session, name=_TOKEN_NAME, secret=token):
                return token
            if settings.worker_token:
                raise Invalid("TAILORBIRD_WORKER_TOKEN was revoked; set another one.", code="worker_token_refused")
            token = home.renew_worker_token()
            workers.register_token(session, name=_TOKEN_NAME, secret=token)
            return token
    finally:
        database.dispose()


def _answers(url: str, token: str | None = None) -> bool:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        return httpx.get(url, timeout=3, headers=headers).status_code == _HTTP_OK
    except httpx.HTTPError:
        return False


def listening_at(settings: Settings) -> str:
    """Where the api answers on this machine; people may reach it by another name, through a proxy."""
    if not settings.listen:
        return settings.public_url.rstrip("/")
    host, _, port = settings.listen.rpartition(":")
    return f"http://{HOST if host in {'', '0.0.0.0'} else host}:{port}"  # noqa: S104 - told apart, not bound


def _refuse_taken_port(api_url: str) -> None:
    address = urlsplit(api_url)
    host, port = address.hostname or HOST, address.port or (443 if address.scheme == "https" else 80)
    if not is_free(port, host):
        raise Conflict(
            f"Port {port} of {host} is taken by another program. Stop that one, or choose another address with "
            f"TAILORBIRD_PUBLIC_URL (for example http://{HOST}:{port + 1}).",
            code="port_taken",
        )


def _greet(settings: Settings, home: Home, setup_link: str | None, seconds: float) -> None:
    _say(f"Ready after {seconds:.0f} s.\n")
    if setup_link:
        _say(f"  Begin    {setup_link}\n           (makes the first admin: keep the link to yourself until then)")
    else:
        _say(f"  Open     {settings.public_url}")
        if known := first_admin.remembered(home):
            _say(f"  Sign in  {known.email}  (its first password is in {home.path / 'admin.json'})")
    if not (PROJECT / settings.frontend_dist / "index.html").exists():
        _say("  The web page is not built yet (`make setup` builds it); the API works without it.")
    _say(f"  Logs     {home.logs}\n  Stop     Ctrl-C\n")


def _say(line: str) -> None:
    print(line, flush=True)
