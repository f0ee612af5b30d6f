"""`tailorbird worker` as an admin of another machine meets it: real processes beside real servers."""

import os
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from core import cli
from core.base_models import service as base_models
from core.base_models.types import MARKER_NAME, ModelFolder
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.errors import Invalid
from core.stack import up
from core.stack.home import Home
from core.stack.join import with_addresses
from core.workers import service as workers
from core.workers.models import Worker
from tests.factories.waiting import eventually

PROJECT = Path(__file__).parents[3]


def found_at(database: Database) -> list[Worker]:
    with database.session(SYSTEM) as session:
        return list(workers.list_workers(session))


def pretend_the_base_model_is_ready(settings: Settings) -> None:
    base = base_models.default_base_model()
    folder = base_models.folder(settings, base.id)
    folder.mkdir(parents=True)
    marker = ModelFolder(id=base.id, revision=base.revision, files={})
    (folder / MARKER_NAME).write_text(marker.model_dump_json())


def command(settings: Settings, token: str, *queues: str) -> list[str]:
    key = f"{settings.s3_access_key_id}:{settings.s3_secret_access_key}"
    s3 = f"http://{key}@{urlsplit(settings.s3_endpoint_url or '').netloc}/{settings.s3_bucket}"
    addresses = ["--database", settings.database_url, "--redis", settings.redis_url, "--s3", s3, "--token", token]
    return [sys.executable, "-m", "core.cli", "worker", *queues, *addresses]


@contextmanager
def joined(settings: Settings, token: str, log: Path, *queues: str) -> Iterator[subprocess.Popen[bytes]]:
    env = {"PATH": os.environ["PATH"], "TAILORBIRD_HOME": str(settings.home), "TAILORBIRD_HEARTBEAT_S": "0.2"}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command(settings, token, *queues), env=env, cwd=PROJECT, stdout=output, stderr=output
        ) as process,
    ):
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0, log.read_text()


@pytest.mark.stack
class TestCommand:
    def test_two_on_one_machine_work_and_sign_off(self, settings: Settings, database: Database, tmp_path: Path) -> None:
        pretend_the_base_model_is_ready(settings)
        with database.session(SYSTEM) as session:
            token, secret = workers.create_token(session, name="cellar", created_by=None)
        with (
            joined(settings, secret, tmp_path / "one.log") as one,
            joined(settings, secret, tmp_path / "two.log", "cpu"),
        ):
            eventually(lambda: len(found_at(database)) == 3 or one.poll() is not None, timeout_s=60)
            found = found_at(database)
            assert sorted(worker.queue for worker in found) == ["cpu", "cpu", "io"]
            assert {worker.token_id for worker in found} == {token.id}
        assert found_at(database) == []
        assert "worker-cpu" in (tmp_path / "two.log").read_text(), "what workers say is seen where they were started"
        assert secret not in (tmp_path / "one.log").read_text()

    @pytest.mark.parametrize("token", ["", "tb_worker_forged"])
    def test_without_a_valid_token_it_is_one_sentence(self, settings: Settings, database: Database, token: str) -> None:
        env = {"PATH": os.environ["PATH"], "TAILORBIRD_HOME": str(settings.home)}
        done = subprocess.run(
            command(settings, token), env=env, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 1
        assert ("--token" if not token else "unknown") in done.stderr
        assert done.stderr.count("\n") == 1
        assert found_at(database) == []


class TestAddresses:
    def test_an_s3_address_is_taken_apart(self) -> None:
        found = with_addresses(
            Settings(), database=None, redis=None, s3="https://key:s%2Fcret@s3.example.com:8333/models", token=None
        )
        assert found.s3_endpoint_url == "https://s3.example.com:8333"
        assert (found.s3_access_key_id, found.s3_secret_access_key, found.s3_bucket) == ("key", "s/cret", "models")

    def test_what_is_not_given_stays_as_it_is_set(self) -> None:
        settings = Settings(s3_bucket="ours", worker_token="set")
        found = with_addresses(settings, database="postgresql+psycopg://db/x", redis=None, s3=None, token=None)
        assert (found.s3_bucket, found.worker_token) == ("ours", "set")
        assert "database_url" in found.model_fields_set
        assert "redis_url" not in found.model_fields_set

    @pytest.mark.parametrize("s3", ["s3://bucket", "http:///bucket", "http://host/a/b", "host:8333"])
    def test_another_form_is_refused(self, s3: str) -> None:
        with pytest.raises(Invalid):
            with_addresses(Settings(), database=None, redis=None, s3=s3, token=None)


@pytest.mark.stack
class TestOwnToken:
    def test_up_registers_its_own_and_renews_one_that_was_revoked(self, settings: Settings, database: Database) -> None:
        settings.home.mkdir()
        home = Home(settings.home)
        first = up._let_workers_in(settings, home, settings.database_url)
        assert up._let_workers_in(settings, home, settings.database_url) == first
        with database.session(SYSTEM) as session:
            token = workers.find(session, secret=first)
            assert token is not None
            workers.revoke_token(session, token_id=token.id)
        second = up._let_workers_in(settings, home, settings.database_url)
        assert second != first
        assert up._let_workers_in(settings, home, settings.database_url) == second

    def test_migrate_lets_in_who_shows_the_token_of_the_deployment(
        self, settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
    ) -> None:
        deployed = settings.model_copy(update={"worker_token": "a1" * 32})
        assert cli.migrate(deployed, Namespace()) == 0
        assert cli.migrate(deployed, Namespace()) == 0
        with database.session(SYSTEM) as session:
            assert workers.find(session, secret="a1" * 32) is not None
        assert "a1a1" not in capsys.readouterr().out
