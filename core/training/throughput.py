"""How fast a run goes, from the arithmetic it needs and the hardware's peaks, before anything was measured here.

    seconds a token = work / (peak * utilisation) + unpacking / tokens of a micro-batch

    useful work   4 N operations a token for frozen weights (forward 2 N, gradient of the activations 2 N), 6 N where
                  every weight learns; + 6 a weight of the adapter, + 6 length * hidden * layers of causal attention
    extra work    half as much again with gradient checkpointing (the forward pass is done twice); + 2 N for DPO's
                  reference pass; a quarter more for DoRA (PEFT's comparison of methods on one L40S: 1191 s, LoRA 942 s)
    unpacking     of NF4: read 4 bits, write 16, in each pass over the weights, however few tokens there are

Prompt tuning is no cheaper than LoRA: its gradient, too, has to pass through the whole model.
"""

from typing import Final

from core.base_models import architecture
from core.base_models.types import BaseModel
from core.training import gpus
from core.training.memory import num_trained_weights
from core.training.methods import DoraMethod, FullMethod, PromptTuningMethod, quantization_of
from core.training.objectives import DpoObjective
from core.training.spec import ExecutionPlan, TrainingSpec

# share of a card's peak that engines reach, counting useful work: Qwen-7B 31 % and torchtune 3B 34 % on an A100, PEFT
# 3B 26 % on an L40S
_UTILISATION = 0.3
# below some hundred tokens a card waits for its own kernels
_IDLE_TOKENS = 256
# useful operations a second on two cores, and what a pass of unpacking 4-bit weights takes a weight
_CPU_FLOPS, _CPU_UNPACK_S = 1.35e11, 4.0e-10
_DORA_FACTOR = 1.26
# a pass of unpacking reads half a byte and writes two for each weight; engines take some three times as long as memory
# needs for that (torchtune: 2 on an A100, 7 on a 4090)
_UNPACK_BYTES = 2.5 * 3
# of several cards, each adds a little less than one: gradients are added up, and the slowest is waited for
_SCALING = 0.95
# what is spread over cards comes over the wire before each use (Answer.AI: if it fits, whole copies are faster)
_SHARDED_FACTOR = 1.4

FORWARD_SHARE: Final = 0.5
"""Of the useful work of a training token, what a forward pass alone takes."""


def tokens_per_s(
    spec: TrainingSpec,
    base: BaseModel,
    execution: ExecutionPlan,
    *,
    hardware: str,
    tokens: int,
    mean_tokens: float,
    step_tokens: float,
) -> float:
    """Tokens of examples a second while training.

    `tokens` is the size of a micro-batch, `mean_tokens` that of a sequence, `step_tokens` that of an optimizer step.
    """
    is_gpu = hardware.startswith("gpu")
    gpu = gpus.find(hardware)
    filled = max(1.0, min(tokens, step_tokens))
    flops = gpu.flops * _UTILISATION * filled / (filled + _IDLE_TOKENS) if is_gpu else _CPU_FLOPS
    seconds = flops_per_token(spec, base, execution, mean_tokens=mean_tokens) / flops
    if quantization_of(spec.method) == "nf4":
        weights = architecture.num_linear_weights(base)
        a_weight_s = _UNPACK_BYTES / gpu.bytes_per_s if is_gpu else _CPU_UNPACK_S
        seconds += _num_passes(spec, execution) * weights * a_weight_s / filled
    if execution.sharding == "full":
        seconds *= _SHARDED_FACTOR
    return _num_at_once(execution, micro_batches=step_tokens / filled) / seconds


def flops_per_token(spec: TrainingSpec, base: BaseModel, execution: ExecutionPlan, *, mean_tokens: float) -> float:
    """Operations executed for one token of an example, with its share of virtual tokens and of the reference pass."""
    weights = architecture.num_linear_weights(base) + architecture.num_head_weights(base)
    is_full = isinstance(spec.method, FullMethod)
    work = (6.0 if is_full else 4.0) * weights
    if not is_full:
        work += 6.0 * num_trained_weights(spec.method, base)
    work += 6.0 * mean_tokens * base.num_layers * base.num_heads * base.head_size
    if execution.gradient_checkpointing:
        work *= 1.5
    if isinstance(spec.method, DoraMethod):
        work *= _DORA_FACTOR
    if isinstance(spec.objective, DpoObjective):
        work += 2.0 * weights
    if isinstance(spec.method, PromptTuningMethod):
        work *= 1 + spec.method.num_virtual_tokens / max(1.0, mean_tokens)
    return work


def _num_passes(spec: TrainingSpec, execution: ExecutionPlan) -> int:
    """Over all weights, for one micro-batch."""
    return 2 + execution.gradient_checkpointing + isinstance(spec.objective, DpoObjective)


def _num_at_once(execution: ExecutionPlan, *, micro_batches: float) -> float:
    """How much several processes speed a step up: one that has no micro-batch of it waits for the others."""
    num = execution.num_processes
    if num == 1:
        return 1.0
    turns = max(1.0, micro_batches)
    at_once = turns / max(1.0, -(-turns // num))
    return max(1.0, at_once * _SCALING)
