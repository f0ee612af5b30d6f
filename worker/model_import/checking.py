"""What is asked of a stranger's adapter before its weights are read: a configuration we understand, and which base.

The tensors are checked as those of every adapter that is served (`worker.inference.adapter_weights`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.errors import Invalid
from core.exports.forms import KIND, MANIFEST
from core.model_imports import names
from core.model_imports.child import ImportSpec
from core.model_imports.lineage import BaseEvidence, ExportOrigin
from core.training.methods import Quantization
from worker.inference.adapter_config import AdapterConfig, LoraConfig, parse_adapter_config
from worker.model_import.package import Package
from worker.training.parity import Identity

# safetensors itself reads up to 100 MB of JSON; the names of 30,000 tensors take less than this
_MAX_HEADER_BYTES: Final = 8 << 20
_LENGTH_BYTES: Final = 8
_MAX_WORD_CHARS: Final = 200
_QUANTIZATIONS: Final[Mapping[Any, Quantization | None]] = {None: None, "nf4": "nf4"}


@dataclass(frozen=True, slots=True)
class Checked:
    config: AdapterConfig
    plain: dict[str, Any]
    """The configuration as it is kept: nothing of a path, of code, or of another's base in it."""
    method: str
    quantization: Quantization | None
    named_base: str | None
    base_evidence: BaseEvidence
    export: ExportOrigin | None


def check(package: Package, spec: ImportSpec, identity: Identity) -> Checked:
    """Raises `Invalid` for a configuration that is not served, a changed package, and another base than ours."""
    content = package.content(names.CONFIG)
    config = parse_adapter_config(content)
    given: dict[str, Any] = json.loads(content)
    if not _is_of_transformers(given.get("auto_mapping")):
        raise Invalid(
            "This adapter names code of its own (auto_mapping) that is to load it, and no code but ours is run here. "
            "Save it with PEFT's get_peft_model() around a model of transformers.",
            code="adapter_unsupported",
            param="file_ids",
        )
    refuse_long_header(package.paths[names.WEIGHTS])
    manifest = _manifest(package)
    quantization = spec.quantization
    if manifest is not None:
        _check_files(package, manifest)
        quantization = _quantization_of(manifest, spec.quantization)
    evidence = _base_evidence(manifest, spec, identity)
    named = given.get("base_model_name_or_path")
    return Checked(
        config=config,
        plain=_plain(given, spec.base_model),
        method=_method(config, given, quantization),
        quantization=quantization,
        named_base=_word(named),
        base_evidence=evidence,
        export=None if manifest is None else _origin(manifest),
    )


def _is_of_transformers(mapping: object) -> bool:
    """PEFT notes the class of the base it was around, where it was not told the task. Nothing here loads by it."""
    if mapping is None:
        return True
    library = mapping.get("parent_library") if isinstance(mapping, dict) else None
    return isinstance(library, str) and library.startswith("transformers.models.")


def refuse_long_header(path: Path) -> None:
    """Before anything parses it. Raises `Invalid` (`adapter_invalid`)."""
    with path.open("rb") as stream:
        head = stream.read(_LENGTH_BYTES)
    length = int.from_bytes(head, "little")
    if len(head) < _LENGTH_BYTES or length > path.stat().st_size - _LENGTH_BYTES:
        raise _not_fit("its weights are not a safetensors file, or the end of it is missing")
    if length > _MAX_HEADER_BYTES:
        raise _not_fit(f"the list of its tensors has more than {_MAX_HEADER_BYTES:,} bytes")


def _manifest(package: Package) -> dict[str, Any] | None:
    """That of an export; a manifest of anything else is none. Raises `Invalid` for one that is ours and broken."""
    if MANIFEST not in package.paths:
        return None
    try:
        found = json.loads(package.content(MANIFEST))
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("kind") != KIND:
        return None
    if not isinstance(found.get("files"), dict) or not isinstance(found.get("base_model"), dict):
        raise _broken_manifest()
    return found


def _check_files(package: Package, manifest: Mapping[str, Any]) -> None:
    """What is read must be what the manifest was written for. Raises `Invalid` (`adapter_package_changed`)."""
    for name in (names.CONFIG, names.WEIGHTS):
        entry = manifest["files"].get(name)
        promised = entry.get("sha256") if isinstance(entry, dict) else None
        if promised != package.sha256s[name]:
            raise Invalid(
                f"{name} is not the file that {MANIFEST} was written for: its sha256 differs. Bring the export as it "
                "was packed (`tailorbird verify FOLDER` says whether it is), or leave the manifest out and confirm the "
                "base model.",
                code="adapter_package_changed",
                param="file_ids",
                details={"file": name},
            )


def _base_evidence(manifest: Mapping[str, Any] | None, spec: ImportSpec, identity: Identity) -> BaseEvidence:
    """Raises `Invalid` (`adapter_base_mismatch`, `base_not_confirmed`)."""
    if manifest is not None:
        _refuse_other_base(manifest, spec, identity)
        if manifest["base_model"].get("weights_sha256") is not None:
            return BaseEvidence.MANIFEST
    if spec.is_base_confirmed:
        return BaseEvidence.CONFIRMED
    raise Invalid(
        "Nothing in these files proves on which base model the adapter was trained; its configuration names one, which "
        f"anybody can write there. If it was trained on {spec.base_model}, say so (confirm_base) and begin again. On "
        "another base it would answer nonsense.",
        code="base_not_confirmed",
        param="confirm_base",
    )


def _refuse_other_base(manifest: Mapping[str, Any], spec: ImportSpec, identity: Identity) -> None:
    """No confirmation helps: it was written down what the adapter stood on."""
    base = manifest["base_model"]
    compared = (
        ("weights", base.get("weights_sha256"), identity.base_sha256),
        ("tokenizer", manifest.get("tokenizer_sha256"), identity.tokenizer_sha256),
        ("chat template", manifest.get("template_sha256"), identity.template_sha256),
    )
    for what, theirs, ours in compared:
        if theirs is not None and theirs != ours:
            named = _word(base.get("name")) or _word(base.get("id")) or "another base model"
            raise Invalid(
                f"This adapter was trained on {named}, and the {what} of {spec.base_model} here is not the same. "
                "Choose the base model that it was trained on; if that is this one, the two installations prepared it "
                "from different files, and the adapter belongs to the other.",
                code="adapter_base_mismatch",
                param="base_model",
                details={"differs": what, "theirs": _word(theirs), "ours": ours},
            )


def _quantization_of(manifest: Mapping[str, Any], said: Quantization | None) -> Quantization | None:
    model = manifest.get("model")
    if not isinstance(model, dict) or "quantization" not in model:
        return said
    try:
        return _QUANTIZATIONS[model["quantization"]]
    except (KeyError, TypeError):
        raise Invalid(
            "The manifest says that the base was held in a way that is not served here. Only nf4 is.",
            code="adapter_unsupported",
            param="file_ids",
        ) from None


def _origin(manifest: Mapping[str, Any]) -> ExportOrigin:
    model = manifest.get("model")
    told = model if isinstance(model, dict) else {}
    return ExportOrigin(
        export_id=_word(manifest.get("export_id")), model_id=_word(told.get("id")), made_at=_word(told.get("made_at"))
    )


def _plain(given: Mapping[str, Any], base_model: str) -> dict[str, Any]:
    found = {name: value for name, value in given.items() if name not in {"auto_mapping", "revision"}}
    # learned prompts name the words they started from and a tokenizer of theirs: paths, and nothing that is used
    found = {name: value for name, value in found.items() if not name.startswith(("tokenizer_", "prompt_tuning_init"))}
    found |= {"base_model_name_or_path": base_model, "inference_mode": True, "task_type": "CAUSAL_LM"}
    if isinstance(targets := found.get("target_modules"), list):
        found["target_modules"] = sorted(targets)
    return found


def _method(config: AdapterConfig, given: Mapping[str, Any], quantization: Quantization | None) -> str:
    if not isinstance(config, LoraConfig):
        return "prompt_tuning"
    if config.has_lengths:
        return "dora"
    if given.get("use_rslora"):
        return "rslora"
    return "lora" if quantization is None else "qlora"


def _word(value: object) -> str | None:
    """A stranger's word as something to show."""
    if not isinstance(value, str):
        return None
    return "".join(char for char in value if char.isprintable())[:_MAX_WORD_CHARS] or None


def _not_fit(reason: str) -> Invalid:
    return Invalid(f"This adapter does not fit its base model: {reason}.", code="adapter_invalid", param="file_ids")


def _broken_manifest() -> Invalid:
    return Invalid(
        f"{MANIFEST} says that it is an export's, and cannot be read. Bring the export as it was packed, or leave the "
        "manifest out.",
        code="adapter_package_changed",
        param="file_ids",
        details={"file": MANIFEST},
    )
