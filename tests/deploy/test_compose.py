"""The production files, checked by the real tools; no container engine is needed, and none runs them here."""

import re
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml
from starlette.datastructures import Headers

from api.client_address import ClientAddresses
from api.middleware import _SECURITY_HEADERS
from core.config import Settings

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SERVICES = {"api", "base-models", "inference", "migrate", "postgres", "s3", "valkey", "web", "worker-cpu", "worker-io"}


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    example = (ROOT / "deploy" / "production.env.example").read_text()
    filled = tmp_path / "production.env"
    filled.write_text(re.sub(r"=$", f"={'a1' * 32}", example, flags=re.MULTILINE))
    return filled


def compose(*args: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "docker-compose"), "--project-directory", str(ROOT), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env={"PATH": "/usr/bin:/bin"})


def test_compose_accepts_the_file_and_describes_the_whole_stack(env_file: Path) -> None:
    done = compose("--env-file", env_file, "config")
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert set(services) == SERVICES
    for name in ("api", "worker-io", "worker-cpu", "inference", "migrate"):
        assert services[name]["environment"]["TAILORBIRD_MODE"] == "production"


def test_the_owner_of_the_tables_is_known_to_the_migration_alone(env_file: Path) -> None:
    services = yaml.safe_load(compose("--env-file", env_file, "config").stdout)["services"]
    knows = {name for name, service in services.items() if "DATABASE_OWNER_URL" in (service.get("environment") or {})}
    assert knows == {"migrate"}


def test_what_runs_models_knows_no_secret_but_its_own(env_file: Path) -> None:
    services = yaml.safe_load(compose("--env-file", env_file, "config").stdout)["services"]
    secret = re.compile("DATABASE|REDIS|S3_|AWS_|SECRET")
    for name in ("inference", "base-models"):
        assert not [variable for variable in services[name]["environment"] if secret.search(variable)]


def test_vllm_takes_the_place_of_the_runtime_and_knows_no_more_than_it(env_file: Path) -> None:
    with_vllm = env_file.read_text() + "TAILORBIRD_VLLM_BASE_MODELS=qwen3-8b\n"
    env_file.write_text(with_vllm)
    services = yaml.safe_load(compose("--env-file", env_file, "--profile", "vllm", "config").stdout)["services"]
    vllm, plain = services["inference-vllm"], services["inference"]
    more = {"VLLM_BASE_MODELS", "VLLM_OTHERWISE", "VLLM_GPU_MEMORY", "VLLM_ARGUMENTS"}
    assert vllm["environment"].keys() - plain["environment"].keys() == {f"TAILORBIRD_{name}" for name in more}
    told = {name.removeprefix("TAILORBIRD_").lower(): value for name, value in vllm["environment"].items()}
    settings = Settings.model_validate({name: told[name] for name in told if name.startswith("vllm_")})
    assert settings.base_models_of_vllm == ("qwen3-8b",)
    assert vllm["networks"]["default"]["aliases"] == ["inference"], "the api asks under this name"
    assert vllm["build"]["target"] == "vllm"
    assert not vllm.get("ports")


def test_workers_join_as_anybody_would_with_a_token_that_the_migration_makes_known(env_file: Path) -> None:
    services = yaml.safe_load(compose("--env-file", env_file, "--profile", "gpu", "config").stdout)["services"]
    names = [name for name in services if name.startswith("worker-")]
    assert len(names) == 3
    for name in names:
        assert services[name]["command"] == ["tailorbird", "worker", name.removeprefix("worker-")]
    knows = {name for name, service in services.items() if "TAILORBIRD_WORKER_TOKEN" in service.get("environment", {})}
    assert knows == {"migrate", *names}


def test_the_api_listens_where_the_web_server_looks_and_can_write_uploads(env_file: Path) -> None:
    api = yaml.safe_load(compose("--env-file", env_file, "config").stdout)["services"]["api"]
    assert api["command"] == ["python", "-m", "api"], "it takes no argument"
    assert Settings(listen=api["environment"]["TAILORBIRD_LISTEN"]).listen == "0.0.0.0:8700"
    assert api["environment"]["TAILORBIRD_HOME"] in {volume["target"] for volume in api["volumes"]}


def test_somebody_makes_the_bucket(env_file: Path) -> None:
    services = yaml.safe_load(compose("--env-file", env_file, "config").stdout)["services"]
    assert services["s3"]["environment"]["S3_BUCKET"] == services["api"]["environment"]["S3_BUCKET"]


def test_only_the_web_server_is_reachable_from_outside(env_file: Path) -> None:
    services = yaml.safe_load(compose("--env-file", env_file, "--profile", "gpu", "config").stdout)["services"]
    assert "worker-gpu" in services
    assert {name for name, service in services.items() if service.get("ports")} == {"web"}


def test_the_api_believes_its_web_server_and_nobody_else_in_the_network(env_file: Path) -> None:
    """Docker's own proxy, by which IPv6 comes, connects from the gateway, and passes on what its client claims."""
    described = yaml.safe_load(compose("--env-file", env_file, "config").stdout)
    proxies = ClientAddresses(described["services"]["api"]["environment"]["TAILORBIRD_TRUSTED_PROXIES"])
    web = described["services"]["web"]["networks"]["default"]["ipv4_address"]
    (network,) = described["networks"]["default"]["ipam"]["config"]
    assert ip_address(web) not in ip_network(network["ip_range"]), "another might be given it"
    told = Headers({"x-forwarded-for": f"6.6.6.6, {network['gateway']}"})
    assert proxies.of({"client": (web, 1)}, told) == network["gateway"]
    assert proxies.of({"client": (network["gateway"], 1)}, told) == network["gateway"]


def test_the_parts_behind_the_s3_port_serve_nobody_without_a_token(env_file: Path) -> None:
    s3 = yaml.safe_load(compose("--env-file", env_file, "config").stdout)["services"]["s3"]
    assert "-disableHttp" in s3["command"]
    names = {f"WEED_JWT_{part}" for part in ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ")}
    assert {s3["environment"][f"{name}_KEY"] for name in names} == {"a1" * 32}


def test_a_missing_secret_is_refused() -> None:
    done = compose("--env-file", "/dev/null", "config")
    assert not done.stdout
    assert "required variable" in done.stderr


@pytest.mark.parametrize("name", ["api", "worker", "web"])
def test_the_dockerfile_passes_its_linter(name: str) -> None:
    dockerfile = ROOT / "deploy" / f"Dockerfile.{name}"
    done = subprocess.run([str(BIN / "hadolint"), str(dockerfile)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_images_copy_only_what_exists() -> None:
    for dockerfile in (ROOT / "deploy").glob("Dockerfile.*"):
        for line in dockerfile.read_text().splitlines():
            words = line.split()
            if words[:1] == ["COPY"] and not words[1].startswith("--from"):
                missing = [source for source in words[1:-1] if not (ROOT / source).exists()]
                assert not missing, f"{dockerfile.name}: {line}"


def test_the_web_server_lets_through_the_largest_upload_and_sends_the_headers_of_the_api() -> None:
    conf = (ROOT / "deploy" / "nginx.conf").read_text()
    (megabytes,) = re.findall(r"client_max_body_size (\d+)m;", conf)
    assert int(megabytes) * 1024**2 > Settings.model_fields["max_upload_bytes"].default
    sent = {
        name.lower(): value.strip('"') for name, value in re.findall(r'add_header (\S+) ("[^"]*"|\S+) always;', conf)
    }
    assert sent == _SECURITY_HEADERS
