"""How long a schema keeps a token waiting: the mask and the draw, on the vocabulary of the bundled model, alone.

`python bench/masks.py` prints medians, in microseconds of one core. Scores are noise, so an answer goes everywhere
in its schema.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

import torch  # noqa: E402

from core.base_models import service as base_models  # noqa: E402
from core.config import Settings  # noqa: E402
from core.inference.types import Constraint, JsonShape, Sampling  # noqa: E402
from worker.base_models import prepare  # noqa: E402
from worker.inference.constraints import Constraints, TokenMask  # noqa: E402
from worker.inference.sampling import Sampler  # noqa: E402
from worker.training.data.chat_format import ChatFormat  # noqa: E402

NUM_TOKENS = 2_000
ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "customer": {"type": "string", "maxLength": 40},
        "priority": {"enum": ["low", "normal", "high"]},
        "due": {"type": ["string", "null"], "format": "date"},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"article": {"type": "string"}, "count": {"type": "integer", "minimum": 1}},
                "required": ["article", "count"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["customer", "priority", "due", "lines"],
    "additionalProperties": False,
}


def main() -> None:
    torch.set_num_threads(1)
    base = Path(sys.argv[1]) if len(sys.argv) > 1 else _prepared()
    chat_format = ChatFormat.load(base)
    num_scores = json.loads((base / "config.json").read_text())["vocab_size"]
    constraints = Constraints(chat_format, num_scores=num_scores, end_ids=[chat_format.end_of_turn_id])
    constraint = Constraint(shape=JsonShape(json_schema=json.dumps(ORDER), param="schema"))
    started = time.thread_time()
    constraints.mask(constraint)
    first_ms = (time.thread_time() - started) * 1e3
    other = Constraint(shape=JsonShape(json_schema=json.dumps(ORDER | {"title": "Another"}), param="schema"))
    started = time.thread_time()
    constraints.mask(other)
    compiled_ms = (time.thread_time() - started) * 1e3
    noise = [torch.randn(num_scores) for _ in range(64)]
    figures = {"vocabulary": num_scores, "tokenizer_and_first_ms": round(first_ms, 1), "read_ms": round(compiled_ms, 2)}
    for name, temperature in (("greedy", 0.0), ("drawn", 1.0)):
        for kind in ("free", "schema"):
            spent: list[float] = []
            while len(spent) < NUM_TOKENS:
                mask: TokenMask | None = constraints.mask(constraint) if kind == "schema" else None
                sampler = Sampler(Sampling(temperature=temperature, seed=len(spent)), mask)
                for at in range(200):
                    started = time.thread_time()
                    sampler.choose(noise[(len(spent) + at) % 64])
                    spent.append((time.thread_time() - started) * 1e6)
                    if sampler.is_complete:
                        break
            figures[f"{kind}_{name}_us"] = round(statistics.median(spent), 1)
            figures[f"{kind}_{name}_p99_us"] = round(statistics.quantiles(spent, n=100)[98], 1)
    print(json.dumps(figures, indent=2))


def _prepared() -> Path:
    home = Path(tempfile.mkdtemp(prefix="bench-masks-"))
    return prepare(Settings(home=home), base_models.default_base_model().id)


if __name__ == "__main__":
    main()
