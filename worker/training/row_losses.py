"""What each held-out row came to, for whoever compares trainings row by row."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from core.training.spec import HELDOUT_LOSSES_NAME
from worker.training.data.token_index import TokenIndex

ONE_EACH: Final = 1
"""The capacity in tokens of micro-batches that hold one row each: a row longer than it has one for itself."""


def write(folder: Path, shares: Sequence[float], heldout: TokenIndex) -> None:
    """Write `losses` and `weights` of the rows in their order, of each row's share of the loss over all of them.

    The loss over any of the rows is their mean, weighted: by tokens of answers, and a pair counts once.
    """
    is_pairs = heldout.sequences_per_example > 1
    weights = [
        1.0 if is_pairs else float(heldout.example_weights(row).sum(dtype="float64")) for row in range(len(shares))
    ]
    total = sum(weights)
    losses = [share * total / weight for share, weight in zip(shares, weights, strict=True)]
    (folder / HELDOUT_LOSSES_NAME).write_text(json.dumps({"losses": losses, "weights": weights}), encoding="utf-8")
