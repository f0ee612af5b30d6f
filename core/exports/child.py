"""What the process that packs a model is told, and what it tells: files beside each other in its run folder."""

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from core.datasets.types import RowKind
from core.exports.forms import ModelExportFormat
from core.training.methods import Quantization

SPEC: Final = "spec.json"
ADAPTER: Final = "adapter"
"""The folder of the adapter's own files."""
HELDOUT: Final = "heldout.jsonl"
PACKED: Final = "packed"
"""What is to be signed and stored."""
REPORT: Final = "report.json"
MAX_HELDOUT_ROWS: Final = 16


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackSpec(_Value):
    format: ModelExportFormat
    base_model: str
    base_model_dir: Path
    method: str
    quantization: Quantization | None
    model_name: str
    row_kind: RowKind | None = Field(None, description="Of the held-out rows; none where there are no rows.")
    num_threads: int = Field(2, ge=1, le=1024)


class MergeReport(_Value):
    """How far the merged model is from base and adapter as they are served. Differences are of scores (logits)."""

    prompts: str = Field(description="`heldout` examples of its data, or `general` questions where there are none.")
    num_prompts: int
    num_places: int
    max_difference: float
    mean_difference: float
    same_choice: float = Field(description="Share of places at which both would say the same next token.")
    mean_divergence: float = Field(description="Kullback-Leibler divergence of the merged one from the other, in nats.")
    serving_quantization: Quantization | None = Field(description="How the base is held where the adapter is served.")
    dtype: str = Field(description="Of the merged weights, as the base has them.")


class PackReport(_Value):
    merge: MergeReport | None = Field(None, description="Null for a model that was whole before.")
