from pathlib import Path
from typing import assert_never

from core.training import methods
from worker.training.methods import dora, full, lora, lora_plus, pissa, prompt_tuning, qlora, rslora
from worker.training.methods.model import Machine, TunableModel


def prepare(method: methods.Method, model_dir: Path, *, machine: Machine) -> TunableModel:  # noqa: PLR0911 - one a method
    """A method prepares a model, and that is all it does: batches, loss and loop are the same for each."""
    match method:
        case methods.LoraMethod():
            return lora.prepare(method, model_dir, machine=machine)
        case methods.QloraMethod():
            return qlora.prepare(method, model_dir, machine=machine)
        case methods.RsloraMethod():
            return rslora.prepare(method, model_dir, machine=machine)
        case methods.DoraMethod():
            return dora.prepare(method, model_dir, machine=machine)
        case methods.LoraPlusMethod():
            return lora_plus.prepare(method, model_dir, machine=machine)
        case methods.PissaMethod():
            return pissa.prepare(method, model_dir, machine=machine)
        case methods.PromptTuningMethod():
            return prompt_tuning.prepare(method, model_dir, machine=machine)
        case methods.FullMethod():
            return full.prepare(method, model_dir, machine=machine)
        case _:
            assert_never(method)
