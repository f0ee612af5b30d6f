"""What is told of a failed run: what happened, whose fault it was, what helps, and the click that does it."""

from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from core.jobs.failures import FailureClass, failure_with_code
from core.jobs.states import Blame, JobState
from core.kit.money import usd
from core.training.request import RunRequest
from core.training.types import RunDetails

FixAction = Literal["continue", "clone", "edit_data"]

# of the rate that went astray: far enough below it, and still learning
_CALMER = 0.2
# a limit that was too low is proposed anew with this much more
_MORE_MONEY = 1.5


@dataclass(frozen=True, slots=True)
class RunFix:
    action: FixAction
    label: str
    changes: dict[str, Any] = field(default_factory=dict)
    """Fields of a create request."""


@dataclass(frozen=True, slots=True)
class RunFailure:
    failure_class: str
    code: str
    message: str
    advice: str
    is_ours: bool
    retries_left: int | None
    fix: RunFix | None


_CLASSES: Final = {Blame.USER_ERROR: "user_error", Blame.PLATFORM_ERROR: "platform_error", Blame.BUDGET: "budget"}
_LABELS: Final[dict[FixAction, str]] = {
    "continue": "Continue from the last checkpoint",
    "clone": "Change it and start again",
    "edit_data": "Correct the data",
}


def failure_of_run(details: RunDetails) -> RunFailure | None:
    """None unless the run failed, or paused for a reason that is not its owner's wish."""
    job = details.job
    if job.error is None or job.state not in {JobState.FAILED, JobState.PAUSED}:
        return None
    code = str(job.error.get("code") or "internal_error")
    message = str(job.error.get("message") or "The run failed.")
    blame = job.blame or Blame.PLATFORM_ERROR
    known = failure_with_code(code)
    advice = known.advice if known else ""
    return RunFailure(
        failure_class=known.failure_class.value if known else _CLASSES[blame],
        code=code,
        # the two were joined for readers that know only the message
        message=message.removesuffix(advice).strip() if advice else message,
        advice=advice,
        is_ours=blame is Blame.PLATFORM_ERROR,
        retries_left=0 if job.state is JobState.FAILED and blame is Blame.PLATFORM_ERROR else None,
        fix=_fix(details, code, blame),
    )


def _fix(details: RunDetails, code: str, blame: Blame) -> RunFix | None:
    run, known = details.run, failure_with_code(code)
    if run.spec is None:
        # it failed while its data was checked, or in what it asked of that data
        is_data = (details.job.error or {}).get("param") in {"training_file", "validation_file"}
        return _plain("edit_data" if is_data else "clone")
    if known is None or known.fix is None:
        return _plain("clone" if blame is Blame.USER_ERROR else "continue")
    fix = RunFix(known.fix.action, known.fix.label, dict(known.fix.changes))
    if known.failure_class is FailureClass.BUDGET and run.max_cost_micros:
        return replace(fix, changes={"max_cost_usd": round(usd(run.max_cost_micros) * _MORE_MONEY, 4)})
    if known.failure_class is FailureClass.NON_FINITE_LOSS:
        return replace(fix, changes=_calmer(RunRequest.model_validate(run.request)))
    return fix


def _calmer(request: RunRequest) -> dict[str, Any]:
    if request.learning_rate is not None:
        return {"training": {"learning_rate": request.learning_rate * _CALMER}}
    asked, method = request.learning_rate_multiplier, request.method_type.value
    calmer = {"learning_rate_multiplier": round((1.0 if asked == "auto" else asked) * _CALMER, 6)}
    return {"method": {"type": method, method: {"hyperparameters": calmer}}}


def _plain(action: FixAction) -> RunFix:
    return RunFix(action, _LABELS[action])
