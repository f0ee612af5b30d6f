"""`tailorbird worker`: this machine works for an installation that runs elsewhere, or beside it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Never
from urllib.parse import unquote, urlsplit

from sqlalchemy.exc import SQLAlchemyError

from core.base_models import service as base_models
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.errors import AppError, Conflict, Invalid, Unavailable
from core.jobs.kinds import QueueName
from core.kit.sealing import Sealer
from core.stack.home import Home, held_home
from core.stack.interruption import Stopped, stoppable
from core.stack.leftovers import end_leftovers
from core.stack.programs import prepare_base_model, worker_services
from core.stack.supervisor import Supervisor
from core.workers import hardware
from core.workers import service as workers

_MAX_PER_HOME = 64
_IN_USE = "home_in_use"
# not a worker's business, even if the machine's environment has them
_NOT_FOR_WORKERS = {"DATABASE_OWNER_URL", "TAILORBIRD_SECRET_KEY", "TAILORBIRD_INFERENCE_TOKEN"}


def with_addresses(
    settings: Settings, *, database: str | None, redis: str | None, s3: str | None, token: str | None
) -> Settings:
    """The settings with what was given on the command line; `s3` is `http://KEY:SECRET@host:port/bucket`."""
    given = {"database_url": database, "redis_url": redis, "worker_token": token, **_parts_of(s3)}
    return settings.model_copy(update={name: value for name, value in given.items() if value is not None})


def join(settings: Settings, queues: Sequence[QueueName]) -> int:
    """Work until somebody stops it; then hand back what runs. Raises `AppError` when that cannot be."""
    _check(settings)
    with stoppable():
        try:
            with _free_place(settings.home) as home:
                _run(settings, home, queues)
        except Stopped:
            _say("Stopped. What was at work here goes on elsewhere, from where it was.")
            return 0


def _check(settings: Settings) -> None:
    """Whether this machine would be let in, asked before anything starts."""
    missing = [
        option
        for option, field in (("--database", "database_url"), ("--redis", "redis_url"))
        if field not in settings.model_fields_set
    ]
    if not settings.worker_token:
        missing.append("--token")
    if missing:
        raise Invalid(
            f"Missing: {', '.join(missing)} (or DATABASE_URL, REDIS_URL, TAILORBIRD_WORKER_TOKEN in the environment). "
            "An admin finds the whole command under Workers in the admin console.",
            code="worker_settings_missing",
        )
    database = Database(settings.database_url, pool_size=1)
    try:
        with database.session(SYSTEM) as session:
            token = workers.find(session, secret=settings.worker_token)
    except SQLAlchemyError as error:
        where = urlsplit(settings.database_url).hostname
        raise Unavailable(
            f"The database at {where} does not let us in ({type(error).__name__}). Check --database, and that this "
            "machine reaches it.",
            code="database_unreachable",
        ) from error
    finally:
        database.dispose()
    if token is None or token.revoked_at is not None:
        raise Invalid(
            f"This worker's token is {'unknown' if token is None else 'revoked'}: have an admin make a new one.",
            code="worker_token_refused",
        )


def _run(settings: Settings, home: Home, queues: Sequence[QueueName]) -> Never:
    end_leftovers(home)
    env = _environment(settings)
    if not base_models.is_ready(settings, base_models.default_base_model().id):
        _say("Preparing the base model (about half a minute) …")
        prepare_base_model(home, env)
    gpus = hardware.gpus(env.get("CUDA_VISIBLE_DEVICES"))
    wanted = list(queues) or [QueueName.IO, QueueName.GPU if gpus else QueueName.CPU]
    if QueueName.GPU in wanted and not gpus:
        raise Conflict("No GPU was found on this machine (nvidia-smi lists none).", code="gpu_missing")
    supervisor = Supervisor(home, _say)
    try:
        services = worker_services(
            home,
            env,
            wanted,
            gpus,
            kill_grace_s=settings.kill_grace_s,
            gpus_per_worker=settings.gpus_per_worker,
            shows_output=True,
        )
        supervisor.start(services)
        _say(f"At work: {', '.join(service.name for service in services)} on {hardware.key_of(gpus)}. Ctrl-C ends it.")
        supervisor.watch()
    finally:
        _say("Handing back what runs …")
        supervisor.stop()


@contextmanager
def _free_place(home: Path) -> Iterator[Home]:
    """Each of several such commands on one machine has a folder of its own; models and run folders they share."""
    for number in range(1, _MAX_PER_HOME + 1):
        place = held_home(home / "workers" / str(number))
        try:
            held = place.__enter__()
        except AppError as error:
            if error.error_code != _IN_USE:
                raise
            continue
        try:
            yield held
        finally:
            place.__exit__(None, None, None)
        return
    raise Conflict(f"{_MAX_PER_HOME} workers run from {home} already.", code=_IN_USE)


def _environment(settings: Settings) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_WORKERS}
    env |= {
        "TAILORBIRD_HOME": str(settings.home.absolute()),
        "TAILORBIRD_WORKER_TOKEN": settings.worker_token,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "S3_BUCKET": settings.s3_bucket,
        "PYTHONUNBUFFERED": "1",
    }
    if settings.has_sealing_key:
        # beside the api: its io workers sign webhooks, with this key and without the secret it may be derived from
        sealer = Sealer.of_settings(settings.encryption_keys, settings.secret_key)
        env["TAILORBIRD_ENCRYPTION_KEYS"] = sealer.as_setting()
    s3 = {
        "S3_ENDPOINT_URL": settings.s3_endpoint_url,
        "AWS_ACCESS_KEY_ID": settings.s3_access_key_id,
        "AWS_SECRET_ACCESS_KEY": settings.s3_secret_access_key,
    }
    return env | {name: value for name, value in s3.items() if value}


def _parts_of(s3: str | None) -> dict[str, str | None]:
    if s3 is None:
        return {}
    url = urlsplit(s3)
    bucket = url.path.strip("/")
    if url.scheme not in {"http", "https"} or not url.hostname or "/" in bucket:
        raise Invalid(
            "--s3 is not an address like http://KEY:SECRET@host:port/bucket.", code="s3_address_wrong", param="s3"
        )
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return {
        "s3_endpoint_url": f"{url.scheme}://{host}" + (f":{url.port}" if url.port else ""),
        "s3_access_key_id": unquote(url.username) if url.username else None,
        "s3_secret_access_key": unquote(url.password) if url.password else None,
        "s3_bucket": bucket or None,
    }


def _say(line: str) -> None:
    print(line, flush=True)
