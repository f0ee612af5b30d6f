"""The code that the page shows runs as it stands there."""

import json
import shutil
from pathlib import Path

import pytest

from core.stack.up import RunningStack
from tests.factories import documented_code
from tests.factories.documented_code import NODE, PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.model, pytest.mark.timeout(1500)]

BASE_MODEL = "smollm2-135m-instruct"
SNIPPETS = PROJECT / "frontend" / "src" / "lib" / "snippets.ts"


def test_the_pages_snippets_get_an_answer(stack: RunningStack, api_key: str, tmp_path: Path) -> None:
    arguments = ", ".join(map(json.dumps, (BASE_MODEL, stack.base_url, api_key)))
    shows = f"""
        import {{ curlSnippet, pythonSnippet }} from {json.dumps(SNIPPETS.as_uri())};
        console.log(JSON.stringify({{ bash: curlSnippet({arguments}), python: pythonSnippet({arguments}) }}));
    """
    shown = json.loads(documented_code.execute([str(NODE), "--input-type=module", "-e", shows], tmp_path, {}))
    assert documented_code.run("python", shown["python"], tmp_path, {}).strip()
    if shutil.which("curl") is None:
        pytest.skip("the other snippet needs curl, which is not here")
    answer = json.loads(documented_code.run("bash", shown["bash"], tmp_path, {"TAILORBIRD_API_KEY": api_key}))
    assert answer["choices"][0]["message"]["content"]
