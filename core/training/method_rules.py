"""What a recipe means for each method and objective: rank, scale and learning rate. Sources: docs/recipes.md."""

import math
from typing import Any, Final

from pydantic import TypeAdapter

from core.base_models.types import BaseModel
from core.training.methods import (
    FullMethod,
    LoraPlusMethod,
    Method,
    PissaMethod,
    PromptTuningMethod,
    RsloraMethod,
)
from core.training.objectives import (
    ContinuedPretrainingObjective,
    DpoObjective,
    Objective,
    OrpoObjective,
    SftObjective,
)

_METHOD: Final[TypeAdapter[Method]] = TypeAdapter(Method)
_MAX_ALPHA = 1024
# scale of the learned part, whatever the rank: alpha = 2 rank, as most trainers have it
_SCALE = 2.0
# rsLoRA: PEFT's comparison of methods has its best result at rank 64 with alpha 64, which is a scale of 8
_RSLORA_SCALE = 8.0

# Rates of full fine-tuning for a large model; those of adapters are ten times as high ("LoRA Without Regret").
# sft: Unsloth's for full tuning. orpo: TRL's example (8e-6, and 8e-5 with adapters). dpo: a quarter of sft's, for too
# large a step away from the base unlearns the language (TRL's 1e-6 is for tens of thousands of pairs). Plain text: half
# of sft's, so that old knowledge is not overwritten.
_FULL_RATE: Final[dict[type[Objective], float]] = {
    SftObjective: 2e-5,
    DpoObjective: 5e-6,
    OrpoObjective: 8e-6,
    ContinuedPretrainingObjective: 1e-5,
}
_ADAPTER_FACTOR = 10.0
# A small model bears more: SmolLM2-135M's loss falls at once at 1e-3.
_SMALL_MODEL_PARAMETERS, _SMALL_MODEL_FACTOR = 500_000_000, 5.0
# rsLoRA's scale is four times LoRA's; its rate in PEFT's comparison (1e-4) is half of ours for LoRA
_RSLORA_FACTOR = 0.5
# the largest directions of the weights are what learns: they need not grow from nothing (PiSSA's own runs: 2e-5)
_PISSA_FACTOR = 0.25
# AdamW moves each number of the prompt by about the rate at each step, whatever the gradient's size: embeddings are of
# the order of 0.1, so some tens of steps of 1e-2 reach anything. (Lester et al. have 0.3 with Adafactor, which scales
# its steps by the weights' size.) It does not depend on the model's size.
_PROMPT_RATE = 1e-2


def method_for(method_type: str, *, rank: int, asked: dict[str, Any]) -> Method:
    """The method with the recipe's rank and its own scale, and what was `asked` for in their place.

    Raises pydantic's ValidationError for a knob that the method does not have, or that is out of its range.
    """
    rank = asked.get("rank") or rank
    alphas = {
        "rslora": _RSLORA_SCALE * math.sqrt(rank),
        # PiSSA starts with a part of the weights themselves, at their own size
        "pissa": 1.0 * rank,
    }
    alpha = max(1, min(_MAX_ALPHA, round(alphas.get(method_type, _SCALE * rank))))
    has_rank = method_type not in {"prompt_tuning", "full"}
    values = {"type": method_type} | ({"rank": rank, "alpha": alpha} if has_rank else {}) | asked
    method: Method = _METHOD.validate_python(values)
    return method


def learning_rate(method: Method, objective: Objective, base: BaseModel) -> float:
    """The peak of the schedule."""
    if isinstance(method, PromptTuningMethod):
        return _PROMPT_RATE
    rate = _FULL_RATE[type(objective)]
    if base.num_parameters < _SMALL_MODEL_PARAMETERS:
        rate *= _SMALL_MODEL_FACTOR
    if isinstance(method, FullMethod):
        return round(rate, 9)
    rate *= _ADAPTER_FACTOR
    if isinstance(method, RsloraMethod):
        rate *= _RSLORA_FACTOR
    if isinstance(method, PissaMethod):
        rate *= _PISSA_FACTOR
    if isinstance(method, LoraPlusMethod):
        # B learns faster and A slower by the same factor, so that their product learns as LoRA's does
        rate /= math.sqrt(method.learning_rate_ratio)
    return round(rate, 9)


def rank_of(method: Method) -> int | None:
    """None for a method without matrices of its own."""
    return None if isinstance(method, PromptTuningMethod | FullMethod) else method.rank
