"""What is known of where a model comes from, as its manifest tells it: no words of anybody's data, nor its name."""

from typing import Any

from sqlalchemy.orm import Session

from core.adapters.models import Adapter
from core.base_models import service as base_models
from core.base_models.types import BaseModel, HubSource
from core.datasets import service as datasets
from core.errors import NotFound
from core.exports.models import ModelExport
from core.exports.repository import ExportRepository
from core.serving.aliases import service as aliases
from core.training import service as training


def told(session: Session, *, export: ModelExport, adapter: Adapter, asked_by: str) -> dict[str, Any]:
    """Everything of the manifest that the database knows."""
    return {
        "model": {
            "id": adapter.model_id,
            "name": adapter.name,
            "origin": adapter.origin.value,
            "method": adapter.method,
            "quantization": adapter.quantization,
            "checkpoint_step": adapter.checkpoint_step,
            "digest": adapter.digest,
            "made_at": adapter.created_at.isoformat(),
        },
        "imported": _imported(adapter),
        "base_model": _base(adapter.base_model),
        "data": _data(session, adapter),
        "recipe": _recipe(session, adapter),
        "evaluation": {
            "base_heldout_loss": adapter.metrics.get("base_heldout_loss"),
            "tuned_heldout_loss": adapter.metrics.get("tuned_heldout_loss"),
            "proof_status": adapter.proof_status.value,
            "proof": adapter.proof,
        },
        "people": _people(session, export, adapter, asked_by),
    }


def _base(model_id: str) -> dict[str, Any]:
    model = _known(model_id)
    if model is None:
        return {"id": model_id}
    return {
        "id": model.id,
        "name": model.name,
        "license": model.license,
        "source": model.source.model_dump(mode="json"),
        "revision": model.revision,
        "note": model.note,
    }


def hub_name(model_id: str) -> tuple[str, str] | None:
    """The repository and the revision by which others know a base model; None for one that is no hub's."""
    model = _known(model_id)
    if model is None or not isinstance(model.source, HubSource):
        return None
    return model.source.repository, model.revision


def _known(model_id: str) -> BaseModel | None:
    try:
        return base_models.get(model_id)
    except NotFound:
        return None


def _imported(adapter: Adapter) -> dict[str, Any] | None:
    """Of a model that was made elsewhere: what was brought, and how its base is known; no name of a file."""
    if adapter.lineage is None:
        return None
    kept = ("imported_at", "imported_by", "config_sha256", "weights_sha256", "base_evidence", "named_base", "export")
    return {name: adapter.lineage.get(name) for name in kept}


def _data(session: Session, adapter: Adapter) -> dict[str, Any] | None:
    """None for a model that was made elsewhere: nobody here knows."""
    if adapter.run_id is None:
        return None
    run = training.get(session, workspace_id=adapter.workspace_id, run_id=adapter.run_id).run
    version = datasets.get_version(
        session, workspace_id=adapter.workspace_id, version_id=run.dataset_version_id
    )  # fmt: skip
    return {
        "dataset_version_id": version.id,
        "sha256": version.content_sha256,
        "kind": version.kind.value,
        "num_train": version.num_train,
        "num_heldout": version.num_heldout,
        "num_erased_since": version.num_erased,
        "validation_version_id": run.validation_version_id,
    }


def _recipe(session: Session, adapter: Adapter) -> dict[str, Any] | None:
    if adapter.run_id is None:
        return None
    run = training.get(session, workspace_id=adapter.workspace_id, run_id=adapter.run_id).run
    return {"name": run.recipe, "run_id": run.id, "seed": run.seed, "spec": adapter.spec}


def _people(session: Session, export: ModelExport, adapter: Adapter, asked_by: str) -> dict[str, Any]:
    """Who trained or brought it, who took it away, and under which names of the workspace who put it to use."""
    in_use = [
        details
        for details in aliases.list_aliases(session, workspace_id=adapter.workspace_id)
        if any(arm.model == adapter.model_id for arm in details.plan.arms)
    ]
    ids = [adapter.created_by, *(details.release.created_by for details in in_use)]
    names = ExportRepository(session, export.workspace_id).names_of_people(ids)
    return {
        "made_by": names.get(adapter.created_by),
        "exported_by": asked_by,
        "approved": [
            {
                "alias": details.alias.name,
                "release": details.release.number,
                "by": names.get(details.release.created_by),
                "at": details.release.created_at.isoformat(),
            }
            for details in in_use
        ],
    }
