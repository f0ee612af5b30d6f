"""Which adapters we serve. `adapter_config.json` decides how weights are applied, so every key must be understood.

A key that changes the arithmetic must hold its neutral value; a key that we do not know is refused, because ignoring it
might serve something other than what was trained and measured.
"""

import json
import math
from dataclasses import dataclass
from typing import Any, Final

from core.errors import Invalid

MAX_RANK: Final = 256
_MAX_TARGETS: Final = 4096

# bookkeeping: no influence on a trained adapter's output
_IGNORED: Final = frozenset({
    "auto_mapping", "base_model_name_or_path", "inference_mode", "lora_dropout", "megatron_core",
    "peft_version", "revision", "task_type", "ensure_weight_tying", "qalora_group_size",
})  # fmt: skip
_READ: Final = frozenset({"peft_type", "r", "lora_alpha", "use_rslora", "target_modules", "bias", "init_lora_weights"})
# neutral when null, false or empty
_MUST_BE_NEUTRAL: Final = frozenset({
    "alora_invocation_tokens", "alpha_pattern", "arrow_config", "corda_config", "eva_config", "exclude_modules",
    "fan_in_fan_out", "kasa_config", "layer_replication", "layers_pattern", "layers_to_transform", "loftq_config",
    "lora_bias", "lora_ga_config", "megatron_config", "modules_to_save", "monteclora_config", "rank_pattern",
    "target_parameters", "trainable_token_indices", "use_bdlora", "use_dora", "use_qalora", "velora_config",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class LoraConfig:
    rank: int
    scaling: float
    # names of linear layers: the whole name, or its last parts
    target_modules: frozenset[str]

    def targets(self, module_name: str) -> bool:
        return any(module_name == target or module_name.endswith(f".{target}") for target in self.target_modules)


def parse_adapter_config(content: bytes) -> LoraConfig:
    """Read and check an adapter's configuration. Raises `Invalid` (code `adapter_unsupported`)."""
    try:
        config = json.loads(content)
    except ValueError as error:
        raise _refused("its configuration is not JSON") from error
    if not isinstance(config, dict):
        raise _refused("its configuration is not a JSON object")
    if config.get("peft_type") != "LORA":
        raise _refused(f"its type is {config.get('peft_type')!r} and only LORA is served")
    unknown = sorted(set(config) - _IGNORED - _READ - _MUST_BE_NEUTRAL)
    if unknown:
        raise _refused(f"its configuration has settings that are not known: {', '.join(unknown[:5])}")
    used = sorted(key for key in _MUST_BE_NEUTRAL if config.get(key))
    if used or config.get("bias", "none") != "none":
        raise _refused(f"it uses {', '.join(used) or 'bias'}, which is not served")
    # other starts (pissa, olora, …) also change the base weights, which we keep as they are
    if config.get("init_lora_weights", True) not in {True, False, "gaussian"}:
        raise _refused(f"its weights started as {config['init_lora_weights']!r}, which is not served")
    rank, alpha = _rank(config), _alpha(config)
    return LoraConfig(
        rank=rank,
        scaling=alpha / math.sqrt(rank) if config.get("use_rslora") is True else alpha / rank,
        target_modules=_targets(config),
    )


def _rank(config: dict[str, Any]) -> int:
    rank = config.get("r")
    if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= MAX_RANK:
        raise _refused(f"its rank is {rank!r} and must be a whole number from 1 to {MAX_RANK}")
    return rank


def _alpha(config: dict[str, Any]) -> float:
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not math.isfinite(alpha):
        raise _refused(f"its lora_alpha is {alpha!r} and must be a number")
    return float(alpha)


def _targets(config: dict[str, Any]) -> frozenset[str]:
    targets = config.get("target_modules")
    # a string is a regular expression to PEFT: someone else's pattern is not run here
    if not isinstance(targets, list) or not 1 <= len(targets) <= _MAX_TARGETS:
        raise _refused("its target_modules is not a list of layer names")
    if not all(isinstance(target, str) and target for target in targets):
        raise _refused("its target_modules is not a list of layer names")
    return frozenset(targets)


def _refused(reason: str) -> Invalid:
    return Invalid(f"This adapter cannot be served: {reason}.", code="adapter_unsupported", param="model")
