from typing import assert_never

from core.training import objectives as specs
from worker.training.objectives.continued_pretraining import ContinuedPretraining
from worker.training.objectives.dpo import Dpo
from worker.training.objectives.objective import Objective
from worker.training.objectives.orpo import Orpo
from worker.training.objectives.sft import Sft


def build(objective: specs.Objective) -> Objective:
    """An objective is a loss, and nothing else: data, model and loop are the same for each of its kind of rows."""
    match objective:
        case specs.SftObjective():
            return Sft()
        case specs.ContinuedPretrainingObjective():
            return ContinuedPretraining()
        case specs.DpoObjective():
            return Dpo(beta=objective.beta, label_smoothing=objective.label_smoothing)
        case specs.OrpoObjective():
            return Orpo(beta=objective.beta)
        case _:
            assert_never(objective)
