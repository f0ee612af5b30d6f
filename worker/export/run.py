"""One run folder from `spec.json` to `packed/`, and what was measured on the way to `report.json`."""

import gc
import json
import logging
import shutil
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import torch

from core.exports.child import ADAPTER, PACKED, REPORT, SPEC, PackReport, PackSpec
from core.exports.forms import ModelExportFormat
from core.jobs.exit_codes import ExitCode
from worker.export import bedrock, gguf, merging, modelfile, places
from worker.training.data.chat_format import ChatFormat
from worker.training.data.chat_template import ChatTemplate
from worker.training.events import EventWriter
from worker.training.failures import Interrupted, classify

logger = logging.getLogger(__name__)

_WHOLE = "full"
_MERGED = "merged"


def run(folder: Path, stop_requested: Callable[[], bool]) -> ExitCode:
    with closing(EventWriter(folder / "events.jsonl")) as events:
        try:
            report = _pack(folder, events, stop_requested)
            (folder / REPORT).write_text(report.model_dump_json(indent=2))
        except Exception as error:
            failure = classify(error)
            if failure.exit_code is ExitCode.BUG:
                logger.exception("packing failed")
            if failure.exit_code is not ExitCode.INTERRUPTED:
                with suppress(OSError):  # on a full disk the exit code has to do
                    events.error(code=failure.code, message=failure.message, details=failure.details)
            return failure.exit_code
    return ExitCode.DONE


def _pack(folder: Path, events: EventWriter, stop_requested: Callable[[], bool]) -> PackReport:
    def leave_if_asked() -> None:
        events.alive()
        if stop_requested():
            raise Interrupted

    spec = PackSpec.model_validate_json((folder / SPEC).read_bytes())
    torch.set_num_threads(spec.num_threads)
    packed = folder / PACKED
    packed.mkdir(exist_ok=True)
    whole = folder / _MERGED if spec.format is ModelExportFormat.GGUF else packed
    whole.mkdir(exist_ok=True)
    report = _whole(folder, spec, whole, events, leave_if_asked)
    leave_if_asked()
    merging.old_names(whole)
    if spec.format is ModelExportFormat.GGUF:
        events.stage("converting")
        gguf.convert(whole, packed, name=spec.model_name, stop_requested=stop_requested, alive=events.alive)
        _describe_for_ollama(whole, packed)
        shutil.rmtree(whole)
    if spec.format is ModelExportFormat.BEDROCK:
        bedrock.arrange(packed, spec.base_model)
    return report


def _describe_for_ollama(model_dir: Path, packed: Path) -> None:
    chat_format = ChatFormat.load(model_dir)
    template = ChatTemplate.load(model_dir)
    first = chat_format.literal(chat_format.encode_text("a")[0])
    config = json.loads((model_dir / "config.json").read_text())
    described = modelfile.write(
        template,
        begin=first if first == template.special_tokens.get("bos_token") else "",
        end=chat_format.literal(chat_format.end_of_turn_id),
        context_tokens=int(config.get("max_position_embeddings") or modelfile.MAX_CONTEXT),
    )
    (packed / "Modelfile").write_text(described, encoding="utf-8")


def _whole(
    folder: Path, spec: PackSpec, into: Path, events: EventWriter, leave_if_asked: Callable[[], None]
) -> PackReport:
    """The whole model into a folder, and how far it is from what is served."""
    adapter = folder / ADAPTER
    if spec.method == _WHOLE:
        events.stage("merging")
        merging.copy_whole(adapter, spec.base_model_dir, into)
        return PackReport()
    events.stage("asking")
    probed = places.choose(folder, ChatFormat.load(spec.base_model_dir), spec.row_kind)
    expected = places.served(spec.base_model_dir, adapter, spec.quantization, probed.sequences)
    # the base was loaded for that, and is not needed beside the files that are merged
    gc.collect()
    leave_if_asked()
    events.stage("merging")
    merging.merge(spec.base_model_dir, adapter, into, on_file=leave_if_asked)
    events.stage("comparing")
    found = places.plain(into, probed.sequences)
    gc.collect()
    dtype = places.dtype_of(into)
    merged = places.compared(probed, expected, found, quantization=spec.quantization, dtype=dtype)
    events.message(
        f"Merged. At {merged.num_places} places of {merged.num_prompts} examples its scores differ from those of base "
        f"and adapter by at most {merged.max_difference:.2g}; it chooses the same word at {merged.same_choice:.0%}."
    )
    return PackReport(merge=merged)
