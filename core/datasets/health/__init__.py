"""What is odd about examples: found row by row and over the whole file, told in plain words, mended where it can be.

`HealthCheck` runs every detector of `registry.py`; `fixed` mends a row. `docs/data.md` lists the findings.
"""

from core.datasets.health.check import HealthCheck
from core.datasets.health.digests import content_digest, question_and_answer_digests
from core.datasets.health.fixes import fixed

__all__ = ["HealthCheck", "content_digest", "fixed", "question_and_answer_digests"]
