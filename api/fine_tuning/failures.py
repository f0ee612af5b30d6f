"""Why a run failed, whose fault it was and what helps, on the wire."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from api.schemas import ResponseBody
from core.training.failures import failure_of_run
from core.training.types import RunDetails


class FixBody(ResponseBody):
    action: Literal["continue", "clone", "edit_data"]
    label: str = Field(description="The words of a button.")
    changes: dict[str, Any] = Field(description="For `clone`: fields of its body.")


class FailureBody(ResponseBody):
    # a reserved word in Python; by its name on the wire wherever it is written, streams and kept answers included
    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    failure_class: str = Field(alias="class")
    code: str
    message: str
    advice: str
    is_ours: bool = Field(description="The platform's fault: it cost nothing.")
    retries_left: int | None
    fix: FixBody | None


def failure_body(details: RunDetails) -> FailureBody | None:
    found = failure_of_run(details)
    if found is None:
        return None
    fix = found.fix
    return FailureBody(
        failure_class=found.failure_class,
        code=found.code,
        message=found.message,
        advice=found.advice,
        is_ours=found.is_ours,
        retries_left=found.retries_left,
        fix=None if fix is None else FixBody(action=fix.action, label=fix.label, changes=fix.changes),
    )
