"""The finished adapter: what plain PEFT loads, and a manifest that says what it is and proves that it is whole.

A run of full fine-tuning leaves a model that transformers loads instead. The state that did best on held-out rows is
the one that is shipped; where the run went on after it, its last state lies beside it.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from core.kit.clock import utc_now
from core.kit.hashing import sha256_file
from core.training.methods import FullMethod
from core.training.spec import RunInput
from worker.training import parity, snapshot
from worker.training.methods.model import TunableModel
from worker.training.parity import Identity

WEIGHTS, CONFIG, MANIFEST = "adapter_model.safetensors", "adapter_config.json", "manifest.json"
WHOLE_MODEL, LAST = "model.safetensors", "last.safetensors"


@dataclass(frozen=True, slots=True)
class Made:
    """What came out of a run, and how it was made."""

    model: TunableModel
    run: RunInput
    identity: Identity
    compute_dtype: torch.dtype
    results: dict[str, Any]


def write(folder: Path, made: Made, tensors: dict[str, Tensor]) -> None:
    """`tensors` are the best state; the model holds the last one.

    The manifest is written last: who finds one finds every file it names, on disk.
    """
    _write(folder, made, tensors, keeps_last=made.results["best_step"] != made.results["steps"])


def write_epochs(folder: Path, made: Made, epochs: Mapping[int, dict[str, Tensor]]) -> None:
    """The adapter at the end of each of these epochs, in a folder `step-…` of its own, as `write` would write it.

    The best one is left out: it is shipped anyway.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for step, tensors in epochs.items():
        if step != made.results["best_step"]:
            of_step = replace(made, results={"best_step": step, "steps": step})
            _write(folder / snapshot.name_of(step), of_step, tensors, keeps_last=False)


def _write(folder: Path, made: Made, tensors: dict[str, Tensor], *, keeps_last: bool) -> None:
    model, run = made.model, made.run
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    is_adapter = not isinstance(run.method, FullMethod)
    own, answers = parity.split(tensors)
    dtype = str(made.compute_dtype).removeprefix("torch.")
    save_file(own, folder / (WEIGHTS if is_adapter else WHOLE_MODEL), metadata={"format": "pt"})
    if keeps_last:
        save_file(model.adapter_tensors(), folder / LAST, metadata={"format": "pt"})
    model.save_adapter_config(folder)
    parity.write(folder, answers, identity=made.identity, compute_dtype=dtype)
    if is_adapter:
        _name_the_base(folder / CONFIG, run.base_model)
    write_manifest(
        folder,
        base_model=run.base_model,
        base_model_dir=run.base_model_dir,
        identity=made.identity,
        compute_dtype=dtype,
        told={
            "spec": run.training_spec().model_dump(mode="json"),
            "lineage": run.lineage.model_dump(mode="json"),
            "results": made.results,
        },
    )


def write_manifest(
    folder: Path,
    *,
    base_model: str,
    base_model_dir: Path,
    identity: Identity,
    compute_dtype: str,
    told: Mapping[str, Any],
) -> None:
    """Of every file in the folder, on disk before it; `told` is how it was made."""
    files = sorted(folder.iterdir())
    for path in files:
        snapshot.sync(path)
    manifest = {
        "files": {path.name: {"sha256": sha256_file(path), "bytes": path.stat().st_size} for path in files},
        "base_model": {"id": base_model} | _identity(base_model_dir),
        **told,
        "chat_template_sha256": identity.template_sha256,
        "tokenizer_sha256": identity.tokenizer_sha256,
        "compute_dtype": compute_dtype,
        "tailorbird_version": _version(),
        "created_at": utc_now().isoformat(),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True))
    snapshot.sync(folder / MANIFEST)


def _name_the_base(config_path: Path, base_model: str) -> None:
    """The same bytes wherever it was trained.

    PEFT writes the folder that the base was loaded from: a path of this machine, which is nobody else's business.
    """
    config = json.loads(config_path.read_text())
    config["base_model_name_or_path"] = base_model
    config["inference_mode"] = True
    if isinstance(targets := config.get("target_modules"), list):
        config["target_modules"] = sorted(targets)  # a set to PEFT, in another order each time
    config_path.write_text(json.dumps(config, indent=2, sort_keys=True))


def _identity(base_model_dir: Path) -> dict[str, Any]:
    """The base's revision, and the digest of its marker, which lists the digest of every file of the base."""
    marker = base_model_dir / "tailorbird.json"
    if not marker.exists():
        return {}
    return {"revision": json.loads(marker.read_text()).get("revision"), "sha256": sha256_file(marker)}


def _version() -> str:
    try:
        return version("tailorbird")
    except PackageNotFoundError:
        return "unreleased"
