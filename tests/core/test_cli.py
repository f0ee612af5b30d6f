"""The commands as typed: one sentence on stderr and exit code 1 for whatever is expected to go wrong."""

from pathlib import Path

import pytest

from core import cli
from core.errors import Conflict
from core.openai_import.destination import Destination


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "TAILORBIRD_MODE"):
        monkeypatch.delenv(name, raising=False)


def test_a_command_must_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main([])
    assert exit_.value.code == 2
    assert "usage: tailorbird" in capsys.readouterr().err


def test_migrate_asks_for_the_owner(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["migrate"]) == 1
    assert capsys.readouterr().err.startswith("tailorbird: DATABASE_OWNER_URL is not set")


def test_what_a_failure_quotes_moves_no_cursor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names of files in an export are whoever's who made it."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "\x1b]0;owned\x07\x1b[2J.json").write_text("no JSON")
    monkeypatch.setattr(Destination, "base_models", lambda _: {"smollm2-135m-instruct": True})
    assert cli.main(["import", "openai", str(tmp_path), "--key", "tb_live_x", "--url", "http://127.0.0.1:1"]) == 1
    said = capsys.readouterr().err
    assert "is not JSON" in said
    assert "\x1b" not in said
    assert "\x07" not in said


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TAILORBIRD_LEASE_S", "soon")
    assert cli.main(["settings-check"]) == 1
    said = capsys.readouterr().err
    assert "the setting" in said
    assert "lease_s" in said.lower()


def test_settings_check_lists_every_problem_of_production(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAILORBIRD_MODE", "production")
    monkeypatch.setenv("TAILORBIRD_PUBLIC_URL", "tailorbird.example.com")
    assert cli.main(["settings-check"]) == 1
    said = capsys.readouterr().err
    names = ("SECRET_KEY", "INFERENCE_TOKEN", "PUBLIC_URL")
    for name in (*(f"TAILORBIRD_{name}" for name in names), "DATABASE_URL", "REDIS_URL"):
        assert name in said


@pytest.mark.parametrize(
    ("name", "value", "is_sound"),
    [
        ("inference_token", "x" * 31, False),
        ("inference_token", "x" * 32, True),
        ("public_url", "https://tailorbird.example.com", True),
        ("public_url", "http://10.0.0.1:8080", True),
        ("public_url", "ftp://tailorbird.example.com", False),
        ("public_url", "https://", False),
        ("public_url", "http://[10.0.0.1", False),
    ],
)
def test_production_asks_for_a_long_token_and_an_address_of_the_web(name: str, value: str, *, is_sound: bool) -> None:
    from core.config import Settings

    settings = Settings(mode="production", **{name: value})
    problems = [problem for problem in settings.production_problems() if name.upper() in problem]
    assert (problems == []) is is_sound


def test_settings_check_is_content_with_the_embedded_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["settings-check"]) == 0
    assert "sound" in capsys.readouterr().out


def test_an_expected_failure_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_settings: object) -> int:
        raise Conflict("Port 8700 is taken.")

    monkeypatch.setattr("core.stack.up.up", refuse)
    assert cli.main(["up"]) == 1
    assert capsys.readouterr().err == "tailorbird: Port 8700 is taken.\n"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"encryption_keys": "a:short"}, "ENCRYPTION_KEYS"),
        ({"encryption_keys": "nonsense"}, "ENCRYPTION_KEYS"),
        ({"oidc_issuer": "https://id.example.com"}, "OIDC_CLIENT_ID"),
        ({"oidc_issuer": "http://id.example.com", "oidc_client_id": "c"}, "begins with https"),
        ({"oidc_issuer": "https://id.example.com", "oidc_client_id": "c"}, None),
        ({"encryption_keys": f"a:{'A' * 43}="}, None),
    ],
)
def test_production_asks_for_sound_ways_to_sign_in(changes: dict[str, str], problem: str | None) -> None:
    from core.config import Settings

    found = [line for line in Settings(mode="production", **changes).production_problems() if "SECRET_KEY" not in line]
    about = [line for line in found if "ENCRYPTION" in line or "OIDC" in line]
    assert (problem in about[0]) if problem else about == []


@pytest.mark.stack
def test_migrate_prints_the_link_of_a_fresh_installation_and_no_other(
    settings: object, database: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from core.config import Settings
    from core.stack import first_admin
    from core.stack.home import Home

    assert isinstance(settings, Settings)
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("DATABASE_OWNER_URL", str(settings.database_owner_url))
    monkeypatch.setenv("TAILORBIRD_SECRET_KEY", settings.secret_key)
    assert cli.main(["migrate"]) == 0
    assert f"/setup#{settings.setup_token}" in capsys.readouterr().out
    settings.home.mkdir()
    first_admin.ensure(Home(settings.home), settings.database_url)
    assert cli.main(["migrate"]) == 0
    assert "/setup" not in capsys.readouterr().out


@pytest.mark.stack
def test_secrets_are_sealed_anew_or_it_is_said_which_key_is_missing(
    settings: object,
    database: object,
    workspace_id: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from core.config import Settings
    from core.db.session import SYSTEM, Database
    from core.identity.totp import service as totp
    from tests.factories.people import make_person

    assert isinstance(settings, Settings)
    assert isinstance(database, Database)
    user_id = make_person(database, workspace_id)
    old, new = (f"{name}:{letter * 43}=" for name, letter in (("old", "A"), ("new", "Q")))
    with database.session(SYSTEM) as session:
        sealer = settings.model_copy(update={"encryption_keys": old}).sealer()
        totp.begin(session, user_id=user_id, sealer=sealer)
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TAILORBIRD_ENCRYPTION_KEYS", new)
    assert cli.main(["rotate-secrets"]) == 1
    assert "Nothing was changed. The key 'old'" in capsys.readouterr().err
    monkeypatch.setenv("TAILORBIRD_ENCRYPTION_KEYS", f"{new},{old}")
    for num in (1, 0):
        assert cli.main(["rotate-secrets"]) == 0
        assert f"secrets of authenticator apps: {num} sealed anew" in capsys.readouterr().out


@pytest.mark.stack
def test_an_admin_is_made_with_a_password_from_standard_input(
    settings: object,
    database: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import io

    from core.config import Settings
    from core.db.session import SYSTEM, Database
    from core.identity.service import find_user
    from core.workspaces import service as workspaces

    assert isinstance(settings, Settings)
    assert isinstance(database, Database)
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setattr("sys.stdin", io.StringIO("a long enough password\n"))
    assert cli.main(["create-admin", "ada@example.org"]) == 0
    assert "ada@example.org may sign in" in capsys.readouterr().out
    with database.session(SYSTEM) as session:
        user = find_user(session, email="ada@example.org")
        assert user is not None
        workspace = workspaces.ensure_default_workspace(session)
        membership, _ = workspaces.get_member(session, workspace_id=workspace.id, user_id=user.id)
        assert membership.role == "admin"
        assert user.is_installation_admin
