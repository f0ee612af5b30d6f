"""The settings of vLLM, a part of `core.config.Settings` (`docs/serving.md`)."""

import shlex
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, field_validator


class VllmSettings(BaseModel):
    vllm_base_models: str = Field(
        "",
        description="Base models that vLLM answers for, by id with commas between; all others are answered by "
        "Tailorbird's own runtime. Needs `make vllm` once (`docs/serving.md`).",
    )
    vllm_python: Path = Field(
        Path(".vllm/bin/python"), description="Python of the environment that vLLM alone is installed in."
    )
    vllm_otherwise: Literal["own", "refuse"] = Field(
        "own",
        description="Models that vLLM cannot serve, such as learned prompts and DoRA, on a base that is vLLM's: `own` "
        "has our own runtime answer, with the base in memory a second time; `refuse` says why not.",
    )
    vllm_network: Literal["auto", "none", "host"] = Field(
        "auto",
        description="The network of vLLM's processes: `none` gives them none, and does not start them where the system "
        "forbids that; `auto` does so where it can; `host` leaves them that of the machine.",
    )
    vllm_max_active: int = Field(64, ge=1, le=1024, description="Answers that one vLLM works on at once.")
    vllm_max_waiting: int = Field(256, ge=0, description="Answers that may wait for a place beyond those.")
    vllm_max_adapters: int = Field(
        16, ge=1, le=512, description="Adapters that one vLLM has loaded at once; those not asked for longest go first."
    )
    vllm_max_lora_rank: Literal[8, 16, 32, 64, 128, 256] = Field(
        64, description="The largest rank of an adapter that vLLM serves; it sets aside memory for it."
    )
    vllm_max_context_tokens: int = Field(
        0, ge=0, description="Tokens of a conversation at most; 0 is what the base model reads, 32,768 at most."
    )
    vllm_gpu_memory: float = Field(
        0.85, gt=0, le=0.98, description="Share of each GPU's memory that all vLLM engines of a machine take together."
    )
    vllm_cpu_cache_gib: int = Field(
        2, ge=1, description="Memory for conversations under way where vLLM computes on the processor."
    )
    vllm_start_timeout_s: float = Field(
        900, gt=0, description="How long vLLM may take to read a model before its start counts as failed."
    )
    vllm_arguments: str = Field(
        "", description="More arguments for vLLM's server, as for a shell, such as `--tensor-parallel-size 2`."
    )

    @field_validator("vllm_arguments")
    @classmethod
    def _can_be_split(cls, arguments: str) -> str:
        shlex.split(arguments)
        return arguments

    @property
    def base_models_of_vllm(self) -> tuple[str, ...]:
        """Their ids, each once, in the order given."""
        return tuple(dict.fromkeys(filter(None, map(str.strip, self.vllm_base_models.split(",")))))
