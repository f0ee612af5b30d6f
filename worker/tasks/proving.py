"""Have the inference runtime prove a fresh adapter, so that the first who talks to it need not wait for that."""

import logging
from contextlib import closing

from core.errors import Invalid, RateLimited, Unavailable
from core.inference.client import InferenceClient
from core.inference.types import Proof
from core.serving import proofs
from core.training.execution import Published
from worker.context import WorkContext

logger = logging.getLogger(__name__)

# a runtime that is busy for longer is not waited for: the job's lease is held meanwhile, and others wait for the worker
_READ_TIMEOUT_S = 60.0


def prove(
    context: WorkContext, published: Published, *, source_id: str, base_model: str, quantization: str | None
) -> Proof | None:
    """Of a run or an import, as `source_id` says.

    None where nothing can be known now: the proof is then made before the model's first answer.
    """
    with closing(InferenceClient(context.settings, read_timeout_s=_READ_TIMEOUT_S)) as inference:
        try:
            return proofs.prove_published(
                inference,
                context.backends.blobs,
                source_id=source_id,
                digest=published.digest,
                files=published.files,
                base_model=base_model,
                quantization=quantization,
            )
        except (Invalid, RateLimited, Unavailable) as error:
            logger.warning("the adapter of %s is not proved yet: %s", source_id, error.message)
            return None
