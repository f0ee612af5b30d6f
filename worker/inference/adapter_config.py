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
MAX_VIRTUAL_TOKENS: Final = 512
_MAX_TARGETS: Final = 4096
_MAX_WIDTH: Final = 1 << 16

# bookkeeping: no influence on a trained adapter's output
_IGNORED: Final = frozenset({
    "auto_mapping", "base_model_name_or_path", "inference_mode", "lora_dropout", "megatron_core",
    "peft_version", "revision", "task_type", "ensure_weight_tying", "qalora_group_size",
})  # fmt: skip
_READ: Final = frozenset({
    "peft_type", "r", "lora_alpha", "use_rslora", "use_dora", "target_modules", "bias", "init_lora_weights",
})  # fmt: skip
# neutral when null, false or empty
_MUST_BE_NEUTRAL: Final = frozenset({
    "alora_invocation_tokens", "alpha_pattern", "arrow_config", "corda_config", "eva_config", "exclude_modules",
    "fan_in_fan_out", "kasa_config", "layer_replication", "layers_pattern", "layers_to_transform", "loftq_config",
    "lora_bias", "lora_ga_config", "megatron_config", "modules_to_save", "monteclora_config", "rank_pattern",
    "target_parameters", "trainable_token_indices", "use_bdlora", "use_qalora", "velora_config",
})  # fmt: skip

# of learned prompts: sizes of a base that loaded and ran, and how the vectors started
_PROMPT_IGNORED: Final = frozenset({
    "auto_mapping", "base_model_name_or_path", "inference_mode", "num_attention_heads", "num_layers", "peft_version",
    "prompt_tuning_init", "prompt_tuning_init_text", "revision", "task_type", "tokenizer_kwargs",
    "tokenizer_name_or_path",
})  # fmt: skip
_PROMPT_READ: Final = frozenset({"peft_type", "num_virtual_tokens", "token_dim", "num_transformer_submodules"})
_PROMPT_MUST_BE_NEUTRAL: Final = frozenset({"modules_to_save"})


@dataclass(frozen=True, slots=True)
class LoraConfig:
    rank: int
    scaling: float
    # names of linear layers: the whole name, or its last parts
    target_modules: frozenset[str]
    has_lengths: bool = False
    """DoRA: each output of a layer also has a learned length."""

    def targets(self, module_name: str) -> bool:
        return any(module_name == target or module_name.endswith(f".{target}") for target in self.target_modules)


@dataclass(frozen=True, slots=True)
class PromptConfig:
    """Learned vectors before every conversation, each as wide as an embedding."""

    num_virtual_tokens: int
    width: int


AdapterConfig = LoraConfig | PromptConfig


def parse_adapter_config(content: bytes) -> AdapterConfig:
    """Read and check an adapter's configuration. Raises `Invalid` (code `adapter_unsupported`)."""
    try:
        config = json.loads(content)
    except ValueError as error:
        raise _refused("its configuration is not JSON") from error
    if not isinstance(config, dict):
        raise _refused("its configuration is not a JSON object")
    match config.get("peft_type"):
        case "LORA":
            return _lora(config)
        case "PROMPT_TUNING":
            return _prompt(config)
        case other:
            raise _refused(f"its type is {other!r} and only LORA and PROMPT_TUNING are served")


def _lora(config: dict[str, Any]) -> LoraConfig:
    _refuse_unknown(config, _IGNORED | _READ, _MUST_BE_NEUTRAL)
    if config.get("bias", "none") != "none":
        raise _refused("it uses bias, which is not served")
    rank, alpha = _whole_number(config, "r", most=MAX_RANK), _alpha(config)
    # other starts (pissa, olora, …) also change the base weights, which we keep as they are
    start = config.get("init_lora_weights", True)
    if not isinstance(start, bool) and start != "gaussian":
        raise _refused(f"its weights started as {start!r}, which is not served")
    return LoraConfig(
        rank=rank,
        scaling=alpha / math.sqrt(rank) if _flag(config, "use_rslora") else alpha / rank,
        target_modules=_targets(config),
        has_lengths=_flag(config, "use_dora"),
    )


def _prompt(config: dict[str, Any]) -> PromptConfig:
    _refuse_unknown(config, _PROMPT_IGNORED | _PROMPT_READ, _PROMPT_MUST_BE_NEUTRAL)
    if (config.get("num_transformer_submodules") or 1) != 1:
        raise _refused("its vectors are for more than one decoder")
    return PromptConfig(
        num_virtual_tokens=_whole_number(config, "num_virtual_tokens", most=MAX_VIRTUAL_TOKENS),
        width=_whole_number(config, "token_dim", most=_MAX_WIDTH),
    )


def _refuse_unknown(config: dict[str, Any], understood: frozenset[str], must_be_neutral: frozenset[str]) -> None:
    unknown = sorted(set(config) - understood - must_be_neutral)
    if unknown:
        raise _refused(f"its configuration has settings that are not known: {', '.join(unknown[:5])}")
    used = sorted(key for key in must_be_neutral if config.get(key))
    if used:
        raise _refused(f"it uses {', '.join(used)}, which is not served")


def _flag(config: dict[str, Any], key: str) -> bool:
    value = config.get(key)
    if value is not None and not isinstance(value, bool):
        raise _refused(f"its {key} is {value!r} and must be true or false")
    return value is True


def _whole_number(config: dict[str, Any], key: str, *, most: int) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise _refused(f"its {key} is {value!r} and must be a whole number from 1 to {most}")
    return value


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
