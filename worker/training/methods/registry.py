from pathlib import Path

from core.training.methods import LoraMethod, Method, QloraMethod
from worker.training.methods import lora, qlora
from worker.training.methods.model import Machine, TunableModel


def prepare(method: Method, model_dir: Path, *, machine: Machine) -> TunableModel:
    """A method prepares a model, and that is all it does: batches, loss and loop are the same for each."""
    match method:
        case LoraMethod():
            return lora.prepare(method, model_dir, machine=machine)
        case QloraMethod():
            return qlora.prepare(method, model_dir, machine=machine)
        case _:
            raise NotImplementedError(method.type)
