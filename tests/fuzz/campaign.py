"""Schemathesis over the API's own description: what it promises, held against what it answers.

The app is whole and its servers are real; only the inference runtime answers from a script. Requests come from an admin
of a workspace who also runs the installation, so that no route is closed to them.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from fastapi import FastAPI
from schemathesis import AuthContext, Case, CheckContext, GenerationMode, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.engine import Status, events, from_schema

# nothing of this belongs into an answer, whatever was asked
_TRACES = re.compile(r"Traceback|site-packages|psycopg[._]|sqlalchemy\.|pydantic_core|[Ff]ile \"/|botocore|redis\.exc")
_SHOWN_CHARS = 1500
# 3xx: who comes from an OpenID provider is a browser, and is led to a page in any case
_REFUSED = ["3xx", "400", "401", "403", "404", "405", "409", "413", "414", "422", "429"]
# `no_valid_value_is_called_invalid` looks at the reason
_TAKEN_OR_REFUSED_FOR_A_REASON = ["2xx", "3xx", "400", "401", "403", "404", "409", "413", "422", "429"]


@schemathesis.check
def no_trace_of_our_inside(_context: CheckContext, response: Response, case: Case) -> bool | None:
    """Every answer has its request's id, and none shows what it is made of."""
    text = (response.content or b"").decode("utf-8", "replace")
    if found := _TRACES.search(text):
        raise Failure(operation=case.operation.label, title="A leaked trace", message=f"{found[0]}: {text[:500]}")
    if "x-request-id" not in response.headers:
        raise Failure(operation=case.operation.label, title="No request id", message=str(response.headers))
    return None


@schemathesis.check
def no_valid_value_is_called_invalid(_context: CheckContext, response: Response, case: Case) -> bool | None:
    """A request that fits its description is refused for a reason of its own, if at all.

    Schemathesis's own check knows no reasons: to it, a base model that may not be deleted is a broken promise.
    """
    is_valid = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if is_valid and response.status_code in {400, 413, 422}:
        error = response.json()["error"]
        if "errors" in error.get("details", {}) or error["code"] == "invalid_json":
            raise Failure(operation=case.operation.label, title="A valid value is refused", message=response.text)
    return None


@dataclass(slots=True)
class Findings:
    seed: int
    num_cases: Counter[str] = field(default_factory=Counter)
    """Requests that were sent, by phase."""
    statuses: Counter[int] = field(default_factory=Counter)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    """What went wrong, one example for each operation and kind of failure."""
    errors: list[str] = field(default_factory=list)
    """What kept Schemathesis from trying something."""
    seconds: float = 0.0

    @property
    def total(self) -> int:
        return self.num_cases.total()

    @property
    def num_server_errors(self) -> int:
        return sum(num for status, num in self.statuses.items() if status >= 500)

    def describe(self) -> str:
        phases = ", ".join(f"{name} {num:,}" for name, num in sorted(self.num_cases.items()))
        statuses = ", ".join(f"{status}: {num:,}" for status, num in sorted(self.statuses.items()))
        lines = [
            f"{self.total:,} cases in {self.seconds:.0f} s ({phases}); seed {self.seed}",
            f"answers by status: {statuses}",
            f"findings: {len(self.failures)}; errors: {len(self.errors)}",
        ]
        lines += [f"\n{operation}: {title}\n{text}" for (operation, title), text in sorted(self.failures.items())]
        return "\n".join(lines + self.errors)


def run(
    app: FastAPI,
    *,
    key: Callable[[], str],
    ids: Mapping[str, Sequence[str]],
    seed: int,
    max_examples: int,
    max_time_s: int | None = None,
) -> Findings:
    """Every phase over every operation: examples, coverage of the schema's limits, fuzzing, chains of links.

    `key` gives an API key that is good now, for what is tried may revoke one; `ids` are real ids by path parameter.
    """
    config = _config(ids, seed, max_examples, max_time_s)
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", app, config=config)

    @schema.auth(refresh_interval=None)
    class _Key:
        def get(self, _case: Case, _context: AuthContext) -> str:
            return key()

        def set(self, case: Case, data: str, _context: AuthContext) -> None:
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}

    findings = Findings(seed)
    began = time.monotonic()
    for event in from_schema(schema).execute():
        match event:
            case events.ScenarioFinished():
                _take(findings, event)
            case events.NonFatalError():
                findings.errors.append(f"{event.label}: {event.info.format()}")
            case events.FatalError():
                raise event.exception
            case events.EngineFinished():
                for failure in event.failures:
                    findings.failures[failure.operation or "the whole run", failure.title] = failure.message
    findings.seconds = time.monotonic() - began
    return findings


def _take(findings: Findings, event: events.ScenarioFinished) -> None:
    recorder = event.recorder
    findings.num_cases[event.phase.value] += len(recorder.interactions)
    for interaction in recorder.interactions.values():
        if interaction.response is not None:
            findings.statuses[interaction.response.status_code] += 1
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.status is not Status.FAILURE or check.failure_info is None:
                continue
            failure = check.failure_info.failure
            label = failure.operation or recorder.label
            found = recorder.find_response(case_id=case_id)
            answer = f"{found.status_code} {(found.content or b'')[:_SHOWN_CHARS]!r}" if found else ""
            findings.failures.setdefault(
                (label, failure.title), f"{failure.message[:_SHOWN_CHARS]}\n{check.failure_info.code_sample}\n{answer}"
            )


def _config(
    ids: Mapping[str, Sequence[str]], seed: int, max_examples: int, max_time_s: int | None
) -> SchemathesisConfig:
    values: dict[str, Any] = {
        "seed": seed,
        # in threads, CPython 3.11's `ast` fails now and then
        "workers": 1,
        "continue-on-failure": True,
        "request-timeout": 20,
        # a run that waits is followed until it ends: a stream is read for so long
        "max-stream-events": 3,
        "cache": {"enabled": False},
        "checks": {
            "positive_data_acceptance": {"expected-statuses": _TAKEN_OR_REFUSED_FOR_A_REASON},
            "negative_data_rejection": {"expected-statuses": _REFUSED},
        },
        "generation": {"max-examples": max_examples, "deterministic": False, "database": "none"},
        "dictionaries": {name: {"values": list(values)} for name, values in ids.items()},
        "parameters": {f"path.{name}": {"dictionary": name, "probability": 0.6} for name in ids},
    }
    if max_time_s is not None:
        values["max-time"] = max_time_s
    return SchemathesisConfig.from_dict(values)
