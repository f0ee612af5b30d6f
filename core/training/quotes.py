"""What a run would be, asked before there is one: a quote for each recipe, and a rehearsal of a create."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.orm import Session

from core.adapters import service as adapters
from core.base_models import service as base_models
from core.base_models.types import BaseModel
from core.config import Settings
from core.datasets.health.overlap import Overlap
from core.errors import AppError, Conflict, Invalid, Unavailable
from core.training import leakage
from core.training.admission import past_runs
from core.training.data import check_validation, stats_of, versions_known
from core.training.hardware import Place, list_offers, place_in
from core.training.planning import Plan, plan_run
from core.training.recipes import DatasetStats, Recipe
from core.training.request import RunRequest, check, new_seed
from core.usage.models import Price
from core.workers import service as workers
from core.workspaces.principal import Principal

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Quote:
    """Plans of the recipes that can be done, and why the others cannot. At least one can."""

    plans: list[Plan]
    refusals: dict[Recipe, Invalid]
    price: Price
    place: Place


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a create looks at. `error` is what would be answered; None if it is as it should be."""

    name: str
    error: AppError | None = None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """All that a create would do, and nothing done. Checks that could not be made for want of another are left out."""

    checks: list[Check]
    plan: Plan | None
    place: Place | None
    leakage: Overlap | None = None
    """What of the rows to measure with is learned from too. None where it is not known before the run begins."""

    @property
    def would_start(self) -> bool:
        return all(check.error is None for check in self.checks)


def known_base_model(session: Session, *, workspace_id: str, model_id: str) -> BaseModel:
    """Raises `Invalid` for a tuned model, which cannot be tuned on yet, and `NotFound` for one that nobody knows."""
    if model_id.startswith("ft:"):
        adapters.get_by_model_id(session, workspace_id=workspace_id, model_id=model_id)
        raise Invalid(
            "Training on from a tuned model is not available yet. Name its base model, and train on all the rows.",
            code="unsupported_model",
            param="model",
        )
    return base_models.get(model_id)


def check_ready(base: BaseModel, settings: Settings) -> None:
    """Raises `Unavailable` for a base model that is not on this machine's disk."""
    if not base_models.is_ready(settings, base.id):
        raise Unavailable(
            f"The base model {base.id} is not on this machine's disk yet. If it was just installed it is being "
            "prepared; try again in a minute. Otherwise an admin has to add it.",
            code="model_not_ready",
            param="model",
        )


def estimate(session: Session, *, principal: Principal, request: RunRequest, recipes: Sequence[Recipe]) -> Quote:
    """What each recipe would take and cost now, and where; of a file, roughly, for its rows are not read yet.

    The model need not be on the disk. Raises `Conflict` while a dataset version is still being checked, and `Invalid`
    (`does_not_fit`) if the hardware that is here can do none of the recipes.
    """
    check(request)
    workspace_id = principal.workspace_id
    base = known_base_model(session, workspace_id=workspace_id, model_id=request.model)
    stats = stats_of(session, workspace_id=workspace_id, request=request)
    plan = _planner(session, workspace_id=workspace_id, request=request, base=base, stats=stats)
    plans: list[Plan] = []
    refusals: dict[Recipe, Invalid] = {}
    for recipe in recipes:
        try:
            plans.append(plan(recipe))
        except Invalid as error:
            refusals[recipe] = error
    if not plans:
        raise next(iter(refusals.values()))
    offer = plans[0].offer
    place = place_in(session, workspace_id=workspace_id, queue_name=offer.queue)
    return Quote(plans=plans, refusals=refusals, price=offer.price, place=place)


def rehearse(session: Session, *, principal: Principal, request: RunRequest, settings: Settings) -> Rehearsal:
    """What a create with this request would do: the resolved spec, how it would be run, and every check by itself."""
    workspace_id = principal.workspace_id
    checks: list[Check] = []

    def passed(name: str, look: Callable[[], T]) -> T | None:
        try:
            found = look()
        except AppError as error:
            checks.append(Check(name, error))
            return None
        checks.append(Check(name))
        return found

    passed("request", lambda: check(request))
    if checks[-1].error is not None:
        return Rehearsal(checks, plan=None, place=None)
    base = passed("model", lambda: known_base_model(session, workspace_id=workspace_id, model_id=request.model))
    if base is not None:
        found = base
        passed("model_on_disk", lambda: check_ready(found, settings))
    stats = passed("data", lambda: stats_of(session, workspace_id=workspace_id, request=request))
    overlap = None
    if request.has_validation:
        passed("validation_data", lambda: check_validation(session, workspace_id=workspace_id, request=request))
        if all(check.error is None for check in checks if check.name in {"data", "validation_data"}):
            known = versions_known(session, workspace_id=workspace_id, request=request)
            overlap = leakage.between(session, *known) if known else None
    plan = None
    if base is not None and stats is not None:
        planned = _planner(session, workspace_id=workspace_id, request=request, base=base, stats=stats)
        plan = passed("hardware", lambda: planned(request.recipe))
    passed("worker", lambda: _check_worker(session, plan))
    place = plan and place_in(session, workspace_id=workspace_id, queue_name=plan.offer.queue)
    return Rehearsal(checks, plan=plan, place=place or None, leakage=overlap)


def _planner(
    session: Session, *, workspace_id: str, request: RunRequest, base: BaseModel, stats: DatasetStats
) -> Callable[[Recipe], Plan]:
    offers, past = list_offers(session), past_runs(session, workspace_id=workspace_id)
    seed = new_seed() if request.seed is None else request.seed

    def plan(recipe: Recipe) -> Plan:
        return plan_run(request, recipe=recipe, stats=stats, base=base, seed=seed, offers=offers, past=past)

    return plan


def _check_worker(session: Session, plan: Plan | None) -> None:
    offered = {found.hardware for found in workers.available_hardware(session)}
    if plan is not None and plan.hardware not in offered:
        raise Conflict(
            "No worker is there that could do this run. It would wait until one is started.", code="no_worker"
        )
