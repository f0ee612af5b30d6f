"""Folders as the script of docs/migrate-from-openai.md makes them."""

import json
from pathlib import Path
from typing import Any

MINI = "gpt-4o-mini-2024-07-18"


def chat_rows(word: str = "a", num: int = 12) -> bytes:
    rows = [
        {"messages": [{"role": "user", "content": f"{word} {n}?"}, {"role": "assistant", "content": f"{n}"}]}
        for n in range(num)
    ]
    return "\n".join(map(json.dumps, rows)).encode()


def preference_rows(num: int = 12) -> bytes:
    rows = [
        {
            "input": {"messages": [{"role": "user", "content": f"open on day {n}?"}]},
            "preferred_output": [{"role": "assistant", "content": "Yes, until six."}],
            "non_preferred_output": [{"role": "assistant", "content": "Perhaps."}],
        }
        for n in range(num)
    ]
    return "\n".join(map(json.dumps, rows)).encode()


def exported_job(job_id: str = "ftjob-one", training_file: str = "file-one", **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """A job as the live service of OpenAI returned them in 2025."""
    return {
        "id": job_id,
        "object": "fine_tuning.job",
        "created_at": 1721764800,
        "error": {},
        "fine_tuned_model": f"ft:{MINI}:acme:claims:9ABCdefG",
        "finished_at": 1721765900,
        "hyperparameters": {"n_epochs": 3, "batch_size": 1, "learning_rate_multiplier": 1.8},
        "model": MINI,
        "organization_id": "org-123",
        "result_files": ["file-results"],
        "seed": 42,
        "status": "succeeded",
        "trained_tokens": 12345,
        "training_file": training_file,
        "validation_file": None,
        "integrations": [],
        "metadata": None,
        "method": {
            "type": "supervised",
            "supervised": {"hyperparameters": {"n_epochs": 3, "batch_size": 1, "learning_rate_multiplier": 1.8}},
        },
        "shared_with_openai": False,
        "usage_metrics": None,
        "user_provided_suffix": "claims",
        "estimated_finish": None,
    } | changes


def write_export(
    folder: Path,
    *,
    contents: dict[str, bytes] | None = None,
    jobs: list[dict[str, Any]] | None = None,
    listed: list[dict[str, Any]] | None = None,
) -> Path:
    """`contents` by file id; every one of them is listed unless `listed` says otherwise."""
    (folder / "files").mkdir(parents=True)
    contents = {"file-one": chat_rows()} if contents is None else contents
    for file_id, content in contents.items():
        (folder / "files" / f"{file_id}.jsonl").write_bytes(content)
    if listed is None:
        listed = [exported_file(file_id, bytes=len(content)) for file_id, content in contents.items()]
    (folder / "files.json").write_text(json.dumps(listed))
    (folder / "jobs.json").write_text(json.dumps([exported_job()] if jobs is None else jobs))
    return folder


def exported_file(file_id: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {
        "id": file_id,
        "object": "file",
        "bytes": 1,
        "created_at": 1721764700,
        "expires_at": None,
        "filename": f"{file_id.removeprefix('file-')}.jsonl",
        "purpose": "fine-tune",
        "status": "processed",
        "status_details": None,
    } | changes
