from enum import StrEnum
from typing import Final

PARITY_FILE: Final = "parity.safetensors"
"""Among an adapter's files: what its trainer answered to a few rows, for the proof that it is served as trained."""


class AdapterOrigin(StrEnum):
    TRAINED = "trained"
    """By a run of this installation."""
    IMPORTED = "imported"
    """Made elsewhere; what it learned from is not known here. `Adapter.lineage` says who brought it, and of what."""


class ProofStatus(StrEnum):
    """Whether an adapter was proved to answer where it is served as where it was trained."""

    PENDING = "pending"
    """Not yet: whoever asks it first waits for the proof."""
    PASSED = "passed"
    FAILED = "failed"
    """It answers nobody."""
    NONE = "none"
    """Its trainer wrote nothing down to compare with, as trainers once did; or it is a whole model."""
