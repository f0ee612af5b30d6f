"""How vLLM is started: its arguments, and an environment with no address and no secret of ours in it."""

import os
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.config import Settings, environment_of_engine
from core.stack.processes import Program
from worker.inference.vllm import launch
from worker.inference.vllm.base import Base
from worker.inference.vllm.wire import MAX_SCORED

BASE_NAME: Final = "base"
_STOP_TIMEOUT_S: Final = 10
# sequences of one batch may be of so many adapters; more wait for their turn in the engine
_MAX_ADAPTERS_AT_ONCE: Final = 8
_MAX_LOG_BYTES: Final = 10 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where one start of an engine is reached and what it says about itself."""

    folder: Path

    @classmethod
    def new(cls) -> "Place":
        """Readable by us alone. Short, since the address of a socket has at most 107 characters."""
        return cls(Path(tempfile.mkdtemp(prefix="tailorbird-vllm-")))

    @property
    def uds(self) -> Path:
        return self.folder / "s"

    @property
    def network_file(self) -> Path:
        return self.folder / "network"

    @property
    def is_isolated(self) -> bool:
        return self.network_file.is_file() and self.network_file.read_text() == "none"


def log_of(settings: Settings, base: Base) -> Path:
    return settings.home.absolute() / "logs" / f"vllm-{base.key}.log"


def program_of(settings: Settings, base: Base, place: Place, *, gpu_share: float) -> Program:
    log = log_of(settings, base)
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _MAX_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    argv = [str(settings.vllm_python.absolute()), str(Path(launch.__file__).absolute())]
    argv += [str(os.getpid()), settings.vllm_network, str(place.network_file)]
    argv += ["-m", "vllm.entrypoints.openai.api_server", *_arguments(settings, base, place, gpu_share=gpu_share)]
    return Program(
        name=f"vllm-{base.key}",
        argv=argv,
        log=log,
        env=_environment(settings, is_cpu=base.hardware == "cpu"),
        cwd=place.folder,
        stop_timeout_s=_STOP_TIMEOUT_S,
    )


def _arguments(settings: Settings, base: Base, place: Place, *, gpu_share: float) -> list[str]:
    named = {
        "model": base.folder.absolute(),
        "served-model-name": BASE_NAME,
        "uds": place.uds,
        "dtype": base.serving_dtype,
        "max-model-len": base.context_tokens,
        "max-num-seqs": settings.vllm_max_active,
        # and one more for the plain base, where that is one (`plain`)
        "max-loras": min(_MAX_ADAPTERS_AT_ONCE, settings.vllm_max_adapters) + 1,
        "max-cpu-loras": settings.vllm_max_adapters + 1,
        "max-lora-rank": settings.vllm_max_lora_rank,
        "max-logprobs": MAX_SCORED,
        # what a model's folder recommends is not what was asked for
        "generation-config": "vllm",
        "load-format": "safetensors",
        "uvicorn-log-level": "warning",
        # the library that holds answers to a grammar in our own runtime too
        "structured-outputs-config": '{"backend": "guidance"}',
    }
    if base.hardware != "cpu":
        named["gpu-memory-utilization"] = round(gpu_share, 3)
    # compiled for a processor a model starts later and is little faster
    flags = ["enable-lora", *(["enforce-eager"] if base.hardware == "cpu" else [])]
    written = [part for name, value in named.items() for part in (f"--{name}", str(value))]
    return [*written, *(f"--{flag}" for flag in flags), *shlex.split(settings.vllm_arguments)]


def _environment(settings: Settings, *, is_cpu: bool) -> dict[str, str]:
    cache = settings.home.absolute() / "vllm" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    own = {
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HOME": str(cache / "hf"),
        "VLLM_CACHE_ROOT": str(cache / "vllm"),
        "XDG_CACHE_HOME": str(cache),
        "XDG_CONFIG_HOME": str(cache / "config"),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        "TRITON_CACHE_DIR": str(cache / "triton"),
        # what its processes say to each other stays on the loopback
        "VLLM_HOST_IP": "127.0.0.1",
    }
    if is_cpu:
        own |= {
            "VLLM_CPU_KVCACHE_SPACE": str(settings.vllm_cpu_cache_gib),
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": str(settings.num_cpu_threads),
        }
    return {**environment_of_engine(), **own}
