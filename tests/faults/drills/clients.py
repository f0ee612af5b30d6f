"""Clients of the API as they should be: after an unknown outcome they ask again with the same Idempotency-Key."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2 as httpx
from fastapi.testclient import TestClient

from core.kit.ids import new_id

JOBS = "/v1/fine_tuning/jobs"
_ASK_AGAIN_AFTER_S = 0.1
_PATIENCE_S = 60.0


@dataclass(slots=True)
class Answer:
    status: int
    seconds: float
    headers: Mapping[str, str]
    text: str

    @property
    def is_clean(self) -> bool:
        """A success, or a refusal that says when to come again and shows nothing of our inside."""
        if "Traceback" in self.text or "psycopg" in self.text or "sqlalchemy" in self.text.lower():
            return False
        if self.status == httpx.codes.SERVICE_UNAVAILABLE:
            return int(self.headers.get("retry-after", "0")) > 0
        return self.status in {httpx.codes.OK, httpx.codes.CONFLICT}


@dataclass(slots=True)
class Crowd:
    """What all clients together were told."""

    api: TestClient
    body: dict[str, Any]
    answers: list[Answer] = field(default_factory=list)
    promised: dict[str, str] = field(default_factory=dict)
    """Run ids by Idempotency-Key: what some client was told 200 for."""
    num_unknown: int = 0
    """Creates whose first answer was not 200."""
    num_replayed: int = 0
    """Of these, the ones that had gone through all the same."""
    is_abandoned: bool = False

    @property
    def unclean(self) -> list[tuple[int, str]]:
        return [(answer.status, answer.text[:300]) for answer in self.answers if not answer.is_clean]

    @property
    def slowest_refusal_s(self) -> float:
        return max((answer.seconds for answer in self.answers if answer.status != httpx.codes.OK), default=0.0)

    def send(self, method: str, path: str, **arguments: Any) -> httpx.Response:  # noqa: ANN401 - the client's
        began = time.monotonic()
        answer: httpx.Response = self.api.request(method, path, **arguments)
        self.answers.append(Answer(answer.status_code, time.monotonic() - began, dict(answer.headers), answer.text))
        return answer

    def create(self) -> str:
        """One run, however often it has to be asked for; its id."""
        key, is_first, give_up_at = new_id("drill-"), True, time.monotonic() + _PATIENCE_S
        while True:
            answer = self.send("POST", JOBS, json=self.body, headers={"idempotency-key": key})
            if answer.status_code == httpx.codes.OK:
                self.num_replayed += "idempotent-replayed" in answer.headers
                self.promised[key] = answer.json()["id"]
                return self.promised[key]
            assert not self.is_abandoned, "the drill has failed"
            assert time.monotonic() < give_up_at, f"refused for {_PATIENCE_S} s: {answer.status_code} {answer.text}"
            self.num_unknown += is_first
            is_first = False
            time.sleep(_ASK_AGAIN_AFTER_S)

    @contextmanager
    def creating(self, num_clients: int) -> Iterator[None]:
        """So many clients create one run after the other for the time of the block; what failed in them is raised."""
        stop, errors = threading.Event(), []

        def work() -> None:
            try:
                while not stop.is_set():
                    self.create()
                    stop.wait(_ASK_AGAIN_AFTER_S)
            except BaseException as error:  # noqa: BLE001 - raised below
                errors.append(error)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(num_clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        except BaseException:
            self.is_abandoned = True
            raise
        finally:
            stop.set()
            for thread in threads:
                thread.join(_PATIENCE_S + 30)
        if errors:
            raise errors[0]
