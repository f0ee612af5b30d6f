from core.training import objectives as specs
from worker.training.objectives.objective import Objective
from worker.training.objectives.sft import Sft


def build(objective: specs.Objective) -> Objective:
    match objective:
        case specs.SftObjective():
            return Sft()
        case _:
            raise NotImplementedError(objective.type)
