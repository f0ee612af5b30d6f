"""Which linear layers of a base get an adapter, found by the structure of the model and not by a list of names.

Schulman et al. 2025 ("LoRA Without Regret"): attention alone learns less than all layers do, at any rank.
"""

from typing import Any

from torch import nn

from core.training.methods import TargetModules


def names(model: Any, targets: TargetModules) -> list[str]:  # noqa: ANN401 - transformers has no types
    """Last parts of the layers' names where those say it all, as `q_proj`, else whole names; sorted.

    Only layers of the text decoder: never the output head, a vision tower, or what routes tokens to experts. Those
    within an attention module are `attention`, all others `mlp`.
    """
    decoder = model.get_decoder()
    inside = {module for _, module in _linears(decoder, targets)}
    everywhere = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    wanted = {name for name, module in everywhere if module in inside}
    endings = {name.rpartition(".")[2] for name in wanted}
    is_clear = all(name in wanted for name, _ in everywhere if name.rpartition(".")[2] in endings)
    return sorted(endings if is_clear else wanted)


def _linears(decoder: nn.Module, targets: TargetModules) -> list[tuple[str, nn.Linear]]:
    modules = dict(decoder.named_modules())
    found = []
    for name, module in modules.items():
        if not isinstance(module, nn.Linear):
            continue
        parents = [modules[".".join(name.split(".")[:depth])] for depth in range(1, name.count(".") + 1)]
        if parents and hasattr(parents[-1], "experts"):
            continue  # beside the experts: a router, or the gate of a shared expert
        is_attention = any(hasattr(parent, "is_causal") for parent in parents)
        if targets == "all-linear" or (targets == "attention") == is_attention:
            found.append((name, module))
    return found
