"""Where a drill takes place: real servers behind proxies, real worker processes, the API, and runs to work on.

Leases are short (3 s instead of 60, a heartbeat every 0.5 s instead of 10), so that a drill takes seconds; drills state
their limits in terms of the lease. Every worker has a home of its own, as if on a machine of its own, unless told to
share one. Whatever an arena started ends with it, also when the drill fails.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import psutil
from fastapi.testclient import TestClient

from api.main import create_app
from core.backends.blobs import S3BlobStore
from core.backends.queue import CeleryTaskQueue
from core.backends.registry import build_backends
from core.config import Settings
from core.db.session import SYSTEM, Database, workspace_scope
from core.identity.repository import UserRepository
from core.jobs.models import Job
from core.jobs.states import TERMINAL, JobState
from core.kit.ids import new_id
from core.stack.ports import choose
from core.stack.processes import Child, Program, spawn
from core.stack.servers import ServerUrls
from core.training import service as training
from core.training.request import RunRequest
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal
from core.workspaces.roles import Role
from tests.factories.training import make_version, put_base_model_on_disk
from tests.faults import arena_webhooks
from tests.faults.arena_servers import ArenaServers
from tests.faults.arena_webhooks import ArenaWebhooks
from tests.faults.checker import Scene
from worker.tasks import sweeping

ROOT = Path(__file__).parents[2]
STUB = (sys.executable, str(Path(__file__).parent / "stub_trainer.py"))
LEASE_S = 3.0
HEARTBEAT_S = 0.5
RECONCILE_S = 0.5
# how long a worker's own start takes at worst on two busy cores; no limit of a drill includes it
STARTED_S = 30.0
_LOOK_EVERY_S = 0.05
_TROUBLED_JOBS = """
select id || ' ' || state || ' attempt ' || attempt || ' stage ' || coalesce(stage, '-') || ' step '
    || coalesce(progress_step, 0) || ' ' || coalesce(error::text, '')
from jobs where attempt > 0 and state <> 'succeeded' limit 20"""
_TROUBLED_ATTEMPTS = """
select '  ' || job_id || ' attempt ' || attempt || ' by ' || worker_id || ': ' || coalesce(outcome, 'held') || ' '
    || coalesce(error::text, '')
from job_attempts where outcome is distinct from 'succeeded' order by job_id, attempt limit 40"""


@dataclass(frozen=True, slots=True)
class Submitted:
    run_id: str
    job_id: str
    workspace_id: str


@dataclass(slots=True)
class WorkerHandle:
    """One worker process and the machine it believes to be on."""

    child: Child
    home: Path

    @property
    def pid(self) -> int:
        return self.child.process.pid

    @property
    def is_alive(self) -> bool:
        return self.child.exit_code() is None

    def kill(self, *, with_children: bool = False) -> None:
        """SIGKILL to the supervisor alone, or to it and everything below it at the same moment."""
        family = self.children() if with_children else []
        self.signal(signal.SIGKILL)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.child.process.wait()

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def terminate(self) -> None:
        """As a deploy ends it; returns at once."""
        self.signal(signal.SIGTERM)

    def wait(self, timeout_s: float = 60) -> int:
        return self.child.process.wait(timeout_s)

    def signal(self, number: signal.Signals) -> None:
        if self.is_alive:
            self.child.process.send_signal(number)

    def children(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def script(self, run: Submitted | None = None, **faults: object) -> None:
        """What the stub does on this machine, to one run or to all: the table in `stub_trainer.py`."""
        folder = self.home / "runs" / (run.job_id if run else "")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "drill.json").write_text(json.dumps(faults))

    def log(self) -> str:
        path = self.child.program.log
        return path.read_text(errors="replace") if path.exists() else ""


@dataclass(slots=True)
class Arena:
    servers: ArenaServers
    home: Path
    trainer: Sequence[str]
    seed: int = 0
    base_model_dir: Path | None = None
    """A whole base model for the real trainer; the stub needs none."""
    workers: list[WorkerHandle] = field(default_factory=list)
    unfinished: dict[str, JobState] = field(default_factory=dict)
    """By job id: what a drill says about jobs that are not over when it is."""
    lost_machines: set[Path] = field(default_factory=set)
    """Homes of machines that never came back; nobody can tidy up there."""
    row_tokens: int | None = 90
    """Trained tokens a step: of the stub, the rows of the version."""
    random: Random = field(init=False)
    database: Database = field(init=False)
    blobs: S3BlobStore = field(init=False)
    webhooks: ArenaWebhooks = field(init=False)
    _principals: dict[str, Principal] = field(default_factory=dict)
    _versions: dict[str, str] = field(default_factory=dict)
    _processes: list[Child] = field(default_factory=list)
    _bell: CeleryTaskQueue = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        direct = self.settings(urls=self.servers.direct)
        self.put_base_model(self.settings())
        self.database, self.blobs, self._bell = (
            Database(direct.database_url),
            S3BlobStore(direct),
            CeleryTaskQueue(direct),
        )
        self.webhooks = ArenaWebhooks(self.database, direct)

    def settings(self, home: Path | None = None, *, urls: ServerUrls | None = None, **changes: object) -> Settings:
        """Of a process of the product: through the proxies, with short leases."""
        urls = urls or self.servers.proxied
        values: dict[str, Any] = {
            "home": home or self.home / "api",
            "secret_key": "a secret for drills, long enough for any check",
            "inference_token": "a token for drills",
            "database_url": urls.database_url,
            "redis_url": urls.redis_url,
            "s3_endpoint_url": urls.s3_endpoint_url,
            "s3_bucket": urls.s3_bucket,
            "s3_access_key_id": urls.s3_access_key_id,
            "s3_secret_access_key": urls.s3_secret_access_key,
            "frontend_dist": self.home / "no-page",
            "lease_s": LEASE_S,
            "heartbeat_s": HEARTBEAT_S,
            "reconcile_interval_s": RECONCILE_S,
            "checkpoint_every_s": 0.5,
            "kill_grace_s": 5.0,
            "num_cpu_threads": 1,
            "outbound_allow": arena_webhooks.HOST,
            **changes,
        }
        return Settings(**values)

    def worker(
        self,
        queue: str = "cpu",
        *,
        machine: str | None = None,
        trainer: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        **changes: Any,  # noqa: ANN401 - settings
    ) -> WorkerHandle:
        """Start a worker. Workers with the same `machine` share a disk. `trainer=()` is the real one."""
        number = len(self.workers)
        home = self.home / (machine or f"machine-{number}")
        settings = self.settings(home, **changes)
        self.put_base_model(settings)
        settings_file = self.home / f"worker-{number}.json"
        settings_file.write_text(settings.model_dump_json())
        argv = [sys.executable, "-m", "tests.faults.worker_main", queue, str(settings_file)]
        child = self.start_process(
            f"worker-{number}", [*prefix, *argv, *(self.trainer if trainer is None else trainer)], env=env
        )
        handle = WorkerHandle(child, home)
        self.workers.append(handle)
        return handle

    def started(self, *workers: WorkerHandle) -> None:
        """Wait until these (or all) workers have signed on."""
        wanted = {worker.pid for worker in workers or self.workers}
        self.wait_until(lambda: wanted <= self.signed_on(), timeout_s=STARTED_S, what="every worker has signed on")

    def start_process(self, name: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> Child:
        program = Program(
            name=name,
            argv=list(argv),
            log=self.home / f"{name}.log",
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "HOME": str(self.home),
                "PYTHONPATH": str(ROOT),
                **(env or {}),
            },
            stop_signal=signal.SIGKILL,
            cwd=ROOT,
        )
        child = spawn(program)
        self._processes.append(child)
        return child

    @contextmanager
    def api(self, **changes: Any) -> Iterator[TestClient]:  # noqa: ANN401 - settings
        """The API in this process, behind the proxies. A server error is an answer, not an exception of the test."""
        settings = self.settings(**changes)
        self.put_base_model(settings)
        database = Database(settings.database_url)
        app = create_app(settings, database, build_backends(settings), None)
        try:
            with TestClient(app, base_url="http://127.0.0.1:8700", raise_server_exceptions=False) as client:
                client.headers["authorization"] = f"Bearer {self.api_key()}"
                yield client
        finally:
            database.dispose()

    def api_process(
        self,
        *,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        is_direct: bool = False,
        **changes: Any,  # noqa: ANN401 - settings
    ) -> str:
        """The API as a process of its own, once it answers; its address. `is_direct` is past the proxies."""
        (port,) = choose(["api"], {}).values()
        urls = self.servers.direct if is_direct else None
        address = f"http://127.0.0.1:{port}"
        settings = self.settings(urls=urls, listen=f"127.0.0.1:{port}", public_url=address, **changes)
        self.put_base_model(settings)
        own = {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}
        own |= {"s3_endpoint_url": "S3_ENDPOINT_URL", "s3_bucket": "S3_BUCKET"}
        own |= {"s3_access_key_id": "AWS_ACCESS_KEY_ID", "s3_secret_access_key": "AWS_SECRET_ACCESS_KEY"}
        chosen = settings.model_dump(mode="json", include=settings.model_fields_set, exclude_none=True)
        named = {own.get(name, f"TAILORBIRD_{name.upper()}"): str(value) for name, value in chosen.items()}
        self.start_process(f"api-{port}", [*prefix, sys.executable, "-m", "api"], env={**named, **(env or {})})
        self.wait_until(lambda: _is_up(address), timeout_s=STARTED_S, what="the API answers")
        return address

    @property
    def api_pids(self) -> list[int]:
        """Of the API's processes."""
        return [child.process.pid for child in self._processes if child.name.startswith("api-")]

    def api_key(self, workspace: str = "acme") -> str:
        with self.database.session(SYSTEM) as session:
            return workspaces.create_api_key(session, principal=self.principal(workspace), name="drill").secret

    def principal(self, workspace: str = "acme") -> Principal:
        """An admin of a workspace; both are made when first asked for."""
        if workspace not in self._principals:
            with self.database.session(SYSTEM) as session:
                made = workspaces.create_workspace(session, name=workspace.title(), slug=workspace)
                user = UserRepository(session).add(
                    email=f"{new_id('')}@example.com", name=f"admin of {workspace}", password_hash="none"
                )
                workspaces.add_member(session, workspace_id=made.id, user_id=user.id, role=Role.ADMIN)
                name = user.name
            self._principals[workspace] = Principal(
                workspace_id=made.id, user_id=user.id, role=Role.ADMIN, display_name=name
            )
            self.webhooks.add(self._principals[workspace])
        return self._principals[workspace]

    def version(self, workspace: str = "acme") -> str:
        """A dataset version of the workspace that is ready to train on: 90 rows and 10 held out."""
        if workspace not in self._versions:
            workspace_id = self.principal(workspace).workspace_id
            with self.database.session(workspace_scope(workspace_id)) as session:
                self._versions[workspace] = make_version(session, workspace_id, with_rows=True).id
        return self._versions[workspace]

    def request_body(self, workspace: str = "acme", *, epochs: int = 4, batch_size: int = 9) -> dict[str, Any]:
        """Of `POST /v1/fine_tuning/jobs`; by default a run of 40 steps."""
        return {
            "model": self.base_model_id(),
            "dataset_version_id": self.version(workspace),
            "seed": 7,
            "method": {
                "type": "supervised",
                "supervised": {"hyperparameters": {"n_epochs": epochs, "batch_size": batch_size}},
            },
        }

    def submit(
        self, *, workspace: str = "acme", epochs: int = 4, batch_size: int = 9, ring: bool = True, **changes: object
    ) -> Submitted:
        """A run of 40 steps unless told; past the proxies, so that the fault at hand cannot touch it."""
        principal = self.principal(workspace)
        version_id = self.version(workspace)
        settings = self.settings()
        self.put_base_model(settings)
        values: dict[str, Any] = {
            "model": self.base_model_id(),
            "dataset_version_id": version_id,
            "n_epochs": epochs,
            "batch_size": batch_size,
            "seed": 7,
            "adapter_type": "lora",
            **changes,
        }
        with self.database.session(workspace_scope(principal.workspace_id)) as session:
            made = training.create(
                session,
                principal=principal,
                request=RunRequest(**values),
                settings=settings,
                queue=self._bell if ring else None,
            )
        return Submitted(made.run.id, made.job.id, principal.workspace_id)

    def cancel(self, run: Submitted, workspace: str = "acme") -> None:
        with self.database.session(workspace_scope(run.workspace_id)) as session:
            training.cancel(session, principal=self.principal(workspace), run_id=run.run_id)

    def ring(self, job_id: str) -> None:
        """As the product rings: soon, and bells for the same job may become one."""
        self._bell.ring("cpu", job_id)

    def ring_now(self, job_id: str) -> None:
        """One message, now, whatever was sent before."""
        self._bell._send(("cpu", job_id))

    def job(self, run: Submitted | str) -> Job:
        with self.database.session(SYSTEM) as session:
            return session.get_one(Job, run if isinstance(run, str) else run.job_id)

    def state(self, run: Submitted) -> JobState:
        return self.job(run).state

    def adapter_sha256(self, run: Submitted) -> str:
        """Of the weights that a run that succeeded has entered."""
        (files,) = self.rows("select files from adapters where run_id = :id", id=run.run_id)
        return str(next(file["sha256"] for file in files if file["name"] == "adapter_model.safetensors"))

    def steps_of(self, run: Submitted) -> dict[int, list[int]]:
        """The optimizer steps that each attempt reported, in order."""
        found = self.rows(
            "select attempt, (data->>'step')::int from job_events where job_id = :id and type = 'metrics' "
            "and data ? 'train_loss' order by seq",
            id=run.job_id,
        )
        steps: dict[int, list[int]] = {}
        for attempt, step in found:
            steps.setdefault(attempt, []).append(step)
        return steps

    def num_redone_steps(self, run: Submitted) -> int:
        """The most steps that one attempt repeated of those before it."""
        worst, reached = 0, 0
        for steps in self.steps_of(run).values():
            worst = max(worst, sum(step <= reached for step in steps))
            reached = max(reached, *steps)
        return worst

    def make_due(self, run: Submitted) -> int:
        """Do not wait for the delay before a retry; it is not what the drill is about."""
        return self.execute("update jobs set not_before = null where id = :id and state = 'queued'", id=run.job_id)

    def signed_on(self) -> set[int]:
        """Process ids of the workers that the database knows."""
        return set(self.rows("select pid from workers"))

    def rows(self, query: str, **values: object) -> list[Any]:
        """One value a row for a query of one column, else tuples."""
        from sqlalchemy import text

        with self.database.session(SYSTEM) as session:
            found = session.execute(text(query), values).all()
        return [row[0] if len(row) == 1 else tuple(row) for row in found]

    def execute(self, statement: str, **values: object) -> int:
        """What a drill does by hand to the database; the number of rows."""
        from sqlalchemy import text

        with self.database.session(SYSTEM) as session:
            return int(session.execute(text(statement), values).rowcount)  # type: ignore[attr-defined]

    def trainers(self, run: Submitted | None = None) -> list[psutil.Process]:
        """Processes that work in a run folder of this arena, or of this one run."""
        wanted = f"/runs/{run.job_id}/" if run else f"{self.home}/"
        found = [process for process in psutil.process_iter(["cmdline"]) if _works_in(process, str(self.home), wanted)]
        mine = {child.process.pid for child in self._processes}
        return [process for process in found if process.pid not in mine]

    def wait_until(self, is_true: Callable[[], object], *, timeout_s: float, what: str) -> float:
        """Look until it is so; the seconds that took. Fails with what the workers last said."""
        began = time.monotonic()
        while not is_true():
            if time.monotonic() - began > timeout_s:
                raise AssertionError(f"not within {timeout_s:.1f} s: {what}\n{self.describe()}")
            time.sleep(_LOOK_EVERY_S)
        return time.monotonic() - began

    def wait_for_state(self, run: Submitted, *states: JobState, timeout_s: float = 30) -> float:
        return self.wait_until(
            lambda: self.state(run) in states, timeout_s=timeout_s, what=f"{run.job_id} is {' or '.join(states)}"
        )

    def wait_for_end(self, *runs: Submitted, timeout_s: float = 60, skips_delays: bool = False) -> float:
        """`skips_delays`: whatever is tried again is tried at once."""

        def are_over() -> bool:
            for run in runs if skips_delays else ():
                self.make_due(run)
            return all(self.state(run) in TERMINAL for run in runs)

        return self.wait_until(are_over, timeout_s=timeout_s, what="every run has ended")

    def wait_for_step(self, run: Submitted, step: int = 1, *, timeout_s: float = STARTED_S) -> float:
        return self.wait_until(
            lambda: (self.job(run).progress_step or 0) >= step, timeout_s=timeout_s, what=f"{run.job_id} at step {step}"
        )

    def describe(self) -> str:
        """What a failed drill is explained by."""
        found = [
            *self.rows(_TROUBLED_JOBS),
            *self.rows(_TROUBLED_ATTEMPTS),
            *self.rows(
                "select '  ' || job_id || ' printed: ' || right(text, 600) from job_logs order by seq desc limit 3"
            ),
        ]
        tails = [f"--- {worker.child.name}\n" + "\n".join(worker.log().splitlines()[-12:]) for worker in self.workers]
        return "\n".join([*found, *tails])

    def base_model_id(self) -> str:
        from core.base_models import service as base_models

        return base_models.default_base_model().id

    def put_base_model(self, settings: Settings) -> None:
        folder = settings.base_models_dir
        if folder.exists():
            return
        put_base_model_on_disk(settings)
        if self.base_model_dir is not None:
            for path in self.base_model_dir.iterdir():
                target = folder / self.base_model_id() / path.name
                if not target.exists():
                    target.symlink_to(path)

    def scene(self) -> Scene:
        """What the checker is shown."""
        return Scene(
            database=self.database,
            blobs=self.blobs,
            unfinished=self.unfinished,
            homes=tuple({worker.home for worker in self.workers} - self.lost_machines),
            processes=self.trainers,
            row_tokens=self.row_tokens,
            received=self.webhooks.received,
        )

    def stop_workers(self) -> None:
        """End all workers as a deploy does, so that what remains is what the product leaves behind."""
        for worker in self.workers:
            worker.thaw()
            worker.terminate()
        for worker in self.workers:
            try:
                worker.wait()
            except subprocess.TimeoutExpired:
                worker.signal(signal.SIGUSR1)
                time.sleep(0.5)
                raise AssertionError(f"{worker.child.name} does not end\n{worker.log()[-6000:]}") from None

    def tidy(self) -> None:
        """What workers do all the time, now: webhooks, and the janitor's round on each machine and in the bucket."""
        self.webhooks.drain()
        for home in {worker.home for worker in self.workers} - self.lost_machines:
            sweeping.sweep_folders(self.database, home / "runs")
        sweeping.sweep_objects(self.database, self.blobs)

    def close(self) -> None:
        """End everything that this arena started, whatever state it is in."""
        leftovers = self.trainers()
        for child in self._processes:
            with suppress(psutil.NoSuchProcess):
                leftovers += psutil.Process(child.process.pid).children(recursive=True)
        for child in self._processes:
            with suppress(ProcessLookupError):
                child.process.kill()
        for process in leftovers:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for child in self._processes:
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(10)
        self.webhooks.close()
        self.database.dispose()


def stub(**options: float) -> tuple[str, ...]:
    """The stub with options, such as `step_s=0.1`."""
    return (*STUB, *(part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))))


def read_json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _is_up(address: str) -> bool:
    try:
        return httpx.get(f"{address}/v1/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def _works_in(process: psutil.Process, home: str, wanted: str) -> bool:
    words = process.info["cmdline"] or []
    return any(home in word and wanted in word for word in words) and process.status() != psutil.STATUS_ZOMBIE
