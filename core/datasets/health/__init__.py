"""What is odd about examples: found row by row and over the whole file, told in plain words, mended where it can be.

`check.HealthCheck` runs every detector, `fixed` mends a row; the api needs only the latter. `docs/data.md` lists the
findings.
"""

from core.datasets.health.digests import content_digest, question_and_answer_digests
from core.datasets.health.fixes import KEEPABLE, fixed

__all__ = ["KEEPABLE", "content_digest", "fixed", "question_and_answer_digests"]
