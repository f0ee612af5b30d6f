import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {'torch', 'transformers', 'peft', 'bitsandbytes'}:
            raise ImportError(name + ' must not be imported by the api')
sys.meta_path.insert(0, Blocked())
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)


def test_the_api_starts_where_no_ml_library_is_installed() -> None:
    done = run_python(
        BLOCK + "from api.main import create_app\nfrom core.config import Settings\n"
        "create_app(Settings(s3_access_key_id='none', s3_secret_access_key='none'))\n"
    )
    assert done.returncode == 0, done.stderr


def test_the_description_is_written_without_servers() -> None:
    done = subprocess.run([sys.executable, "-m", "api.openapi"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    description = json.loads(done.stdout)
    assert "/v1/auth/sign_in" in description["paths"]
    operations = [op["operationId"] for path in description["paths"].values() for op in path.values()]
    assert len(operations) == len(set(operations)), "two routes have functions of one name"
    assert "HTTPValidationError" not in done.stdout


def test_production_does_not_start_on_default_secrets() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api"],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env={"TAILORBIRD_MODE": "production", "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 2
    assert "TAILORBIRD_SECRET_KEY" in done.stderr
    assert "DATABASE_URL" in done.stderr
