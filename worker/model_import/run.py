"""One folder from `spec.json` to `adapter/`, and what was found on the way to `report.json`."""

import json
import logging
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from core.errors import Invalid
from core.jobs.exit_codes import ExitCode
from core.model_imports import names
from core.model_imports.child import ADAPTER, EVENTS, REPORT, SPEC, ImportReport, ImportSpec
from worker.inference.adapter_weights import read_adapter_weights
from worker.model_import import checking, package, reference
from worker.model_import.checking import Checked
from worker.model_import.package import Package
from worker.model_import.reference import PlainBase
from worker.training import adapter_output, loading, parity
from worker.training.data.chat_format import ChatFormat
from worker.training.events import EventWriter
from worker.training.failures import Interrupted, classify
from worker.training.parity import Identity

logger = logging.getLogger(__name__)


def run(folder: Path, stop_requested: Callable[[], bool]) -> ExitCode:
    with closing(EventWriter(folder / EVENTS)) as events:
        try:
            report = _import(folder, events, stop_requested)
            (folder / REPORT).write_text(report.model_dump_json(indent=2))
        except Exception as error:
            failure = classify(error)
            if failure.exit_code is ExitCode.BUG:
                logger.exception("importing failed")
            if failure.exit_code is not ExitCode.INTERRUPTED:
                with suppress(OSError):  # on a full disk the exit code has to do
                    events.error(code=failure.code, message=failure.message, details=failure.details)
            return failure.exit_code
    return ExitCode.DONE


def _import(folder: Path, events: EventWriter, stop_requested: Callable[[], bool]) -> ImportReport:
    def leave_if_asked() -> None:
        events.alive()
        if stop_requested():
            raise Interrupted

    spec = ImportSpec.model_validate_json((folder / SPEC).read_bytes())
    torch.set_num_threads(spec.num_threads)
    events.stage("reading")
    found = package.read(spec.files, folder)
    chat_format = ChatFormat.load(spec.base_model_dir)
    identity = parity.identity_of(spec.base_model_dir, chat_format)
    checked = checking.check(found, spec, identity)
    leave_if_asked()
    events.stage("loading_model")
    with loading.heard(leave_if_asked):
        base = PlainBase(spec.base_model_dir, checked.quantization)
    leave_if_asked()
    events.stage("checking")
    adapter = folder / ADAPTER
    adapter.mkdir()
    _write_checked(found, checked, base, adapter)
    leave_if_asked()
    events.stage("asking")
    answers = reference.answered(base, adapter, reference.rows_of(chat_format), alive=leave_if_asked)
    _refuse_not_finite(answers)
    dtype = str(base.dtype).removeprefix("torch.")
    parity.write(adapter, answers, identity=identity, compute_dtype=dtype)
    report = _report(found, checked)
    _write_manifest(adapter, spec, identity, report, compute_dtype=dtype)
    return report


def _write_checked(found: Package, checked: Checked, base: PlainBase, adapter: Path) -> None:
    """Every tensor is checked, then written anew: what is served is what was read, and nothing stands beside it."""
    content = found.content(names.WEIGHTS)
    read_adapter_weights(content, checked.config, digest="imported", base=base)
    del content
    tensors = load_file(found.paths[names.WEIGHTS])
    save_file(tensors, adapter / names.WEIGHTS, metadata={"format": "pt"})
    (adapter / names.CONFIG).write_text(json.dumps(checked.plain, indent=2, sort_keys=True))


def _refuse_not_finite(answers: dict[str, torch.Tensor]) -> None:
    if not all(bool(torch.isfinite(tensor).all()) for tensor in answers.values() if tensor.is_floating_point()):
        raise Invalid(
            "With this adapter the base model computes numbers that are not finite, so it could say nothing. Its "
            "weights are too large for it, or damaged; train it again with a lower learning rate.",
            code="adapter_invalid",
            param="file_ids",
        )


def _report(found: Package, checked: Checked) -> ImportReport:
    return ImportReport(
        method=checked.method,
        quantization=checked.quantization,
        config_sha256=found.sha256s[names.CONFIG],
        weights_sha256=found.sha256s[names.WEIGHTS],
        base_evidence=checked.base_evidence,
        named_base=checked.named_base,
        export=checked.export,
    )


def _write_manifest(
    adapter: Path, spec: ImportSpec, identity: Identity, report: ImportReport, *, compute_dtype: str
) -> None:
    adapter_output.write_manifest(
        adapter,
        base_model=spec.base_model,
        base_model_dir=spec.base_model_dir,
        identity=identity,
        compute_dtype=compute_dtype,
        told={"imported": report.model_dump(mode="json")},
    )
