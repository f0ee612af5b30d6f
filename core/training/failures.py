"""What is told of a failed run: what happened, whose fault it was, what helps, and the click that does it."""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from core.jobs import failures as job_failures
from core.jobs.states import Blame, JobState
from core.training.request import RunRequest
from core.training.types import RunDetails

FixAction = Literal["continue", "clone", "edit_data"]

# far enough below a rate that went astray, and still learning
_CALMER = 0.3
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


failure_with_code = getattr(job_failures, "failure_with_code", lambda _code: None)
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
    if blame is Blame.BUDGET:
        limit = (run.max_cost_micros or 0) * _MORE_MONEY / 1_000_000
        return RunFix("continue", "Raise the limit and continue", {"max_cost_usd": round(limit, 4)})
    if code == "non_finite_loss":
        asked = RunRequest.model_validate(run.request).learning_rate_multiplier
        calmer = round((1.0 if asked == "auto" else asked) * _CALMER, 6)
        return RunFix(
            "clone", "Start again with a lower learning rate", {"hyperparameters": {"learning_rate_multiplier": calmer}}
        )
    if known is not None and known.fix is not None:
        return RunFix(known.fix.action, known.fix.label, dict(known.fix.changes))
    return _plain("clone" if blame is Blame.USER_ERROR else "continue")


def _plain(action: FixAction) -> RunFix:
    return RunFix(action, _LABELS[action])
