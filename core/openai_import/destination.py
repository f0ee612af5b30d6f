"""The installation that is imported into, by its public API; a busy one is asked again."""

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO, TypeVar

from core.errors import AppError, Conflict, Invalid
from core.kit.hashing import sha256_bytes
from core.openai_import.types import JOB_KEY, PURPOSE
from core.stack.api_client import ApiClient

# the most that one part may have
PART_BYTES = 64 * 1024 * 1024
_PAGE = 100
_MAX_TRIES = 5
_FIRST_PAUSE_S = 0.5
_MAX_PAUSE_S = 30.0
_PASSING = frozenset({408, 429, 500, 502, 503, 504})

Found = dict[str, Any]
Answer = TypeVar("Answer")


class Destination:
    def __init__(self, api: ApiClient, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._api = api
        self._pause = pause

    def base_models(self) -> dict[str, bool]:
        """Every base model that is known there, and whether it can be trained.

        Raises Invalid for who speaks the same wire and is not Tailorbird, such as OpenAI itself.
        """
        models = self._get("/v1/models")["data"]
        found = {model["id"]: bool(model["is_ready"]) for model in models if model.get("kind") == "base"}
        if not found:
            raise Invalid("What answers there is not Tailorbird: its models do not say their kind.", code="url_invalid")
        return found

    def files_by_sha256(self) -> dict[str, str]:
        """Ids of the files that are there already; of equal ones the oldest."""
        return {file["sha256"]: file["id"] for file in self._all_files() if file.get("sha256")}

    def find_job(self, openai_job_id: str) -> Found | None:
        """The job that was made of this one of OpenAI's by an earlier import."""
        page = self._get("/v1/fine_tuning/jobs", limit=1, **{f"metadata[{JOB_KEY}]": openai_job_id})
        return page["data"][0] if page["data"] else None

    def upload(self, stream: BinaryIO, *, filename: str, num_bytes: int, sha256: str) -> str:
        """The file's id there; in parts beyond one part's size. One whose answer was lost is not sent twice."""
        send = self._at_once if num_bytes <= PART_BYTES else self._in_parts
        is_again = False

        def once() -> Found:
            nonlocal is_again
            if is_again and (found := self.files_by_sha256().get(sha256)):
                return {"id": found, "sha256": sha256}
            is_again = True
            stream.seek(0)
            return send(stream, filename, num_bytes)

        made = self._patiently(once)
        if made["sha256"] != sha256:
            raise Conflict(f"{filename} was changed while it was read: {made['id']} here is something else.")
        return str(made["id"])

    def _at_once(self, stream: BinaryIO, filename: str, _num_bytes: int) -> Found:
        parts = {"file": (filename, stream, "application/jsonl")}
        return self._api.post("/v1/files", files=parts, data={"purpose": PURPOSE})

    def _in_parts(self, stream: BinaryIO, filename: str, num_bytes: int) -> Found:
        """A connection that breaks costs a part, not the file."""
        asked = {"purpose": PURPOSE, "filename": filename, "bytes": num_bytes, "mime_type": "application/jsonl"}
        path = f"/v1/uploads/{self._api.post('/v1/uploads', json=asked)['id']}"

        def send_part(chunk: bytes) -> str:
            return str(self._api.post(f"{path}/parts", files={"data": ("part", chunk)})["id"])

        part_ids = []
        while chunk := stream.read(PART_BYTES):
            part_ids.append(self._patiently(partial(send_part, chunk)))
        completed = self._patiently(lambda: self._api.post(f"{path}/complete", json={"part_ids": part_ids}))
        return dict(completed["file"])

    def create_job(self, body: Found, *, openai_job_id: str) -> Found:
        """The same body for the same job of OpenAI's makes one job, however often it is sent within a day."""
        digest = sha256_bytes(json.dumps(body, sort_keys=True).encode())
        headers = {"idempotency-key": f"openai-import-{openai_job_id}-{digest}"}
        return self._patiently(lambda: self._api.post("/v1/fine_tuning/jobs", json=body, headers=headers))

    def _all_files(self) -> Iterator[Found]:
        after: dict[str, str] = {}
        while True:
            page = self._get("/v1/files", purpose=PURPOSE, limit=_PAGE, **after)
            yield from page["data"]
            if not page["has_more"]:
                return
            after = {"after": page["last_id"]}

    def _get(self, path: str, **params: str | int) -> Found:
        return self._patiently(lambda: self._api.get(path, **params))

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        for number in range(_MAX_TRIES):
            try:
                return ask()
            except AppError as error:
                if not _is_passing(error) or number == _MAX_TRIES - 1:
                    raise
                wanted = error.details.get("retry_after_s") or _FIRST_PAUSE_S * 2**number
                self._pause(min(_MAX_PAUSE_S, float(wanted)))
        raise AssertionError


def _is_passing(error: AppError) -> bool:
    return error.error_code in {"api_unreachable", "request_in_flight"} or error.details.get("status") in _PASSING
