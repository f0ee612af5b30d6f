"""An answer that waits to be stored must not bring back a person who is forgotten meanwhile.

Every process that answers has some waiting, for minutes while the database is away, and none knows the others. So none
is waited for: whoever stores one looks at the workspace's erasures first, in the same transaction.

- From the moment an erasure is confirmed its terms are compared with what is to be stored, and the rest is stored. The
  lock that a confirmation takes sees to it that nobody who looked before it commits after it, unseen by its worker.
- When it ends its terms are forgotten. What was asked before that and is stored only then cannot be compared any more,
  so it is not stored, whatever it says. Those are the answers of a few seconds, and keeping the terms for their sake
  would keep the person.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from time import monotonic

from sqlalchemy.orm import Session

from core.datasets import closing
from core.erasures import service
from core.erasures.repository import ErasureRepository
from core.erasures.words import hold
from core.kit.sealing import Sealer, Unsealable
from core.serving.gate import Withholds

logger = logging.getLogger(__name__)

# the database is asked a little after our own clock was read
_MARGIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Withholding:
    """A `core.serving.gate.Gate`."""

    sealer: Sealer

    def __call__(self, session: Session, *, workspace_id: str, since_s: float) -> Withholds:
        closing.put_off(session, workspace_id=workspace_id)
        found = ErasureRepository(session, workspace_id).confirmed(since_s=monotonic() - since_s + _MARGIN_S)
        # read after the answer: clocks of two machines are never compared, and what is doubtful is withheld
        now_s = monotonic()
        ended_s = max((now_s - ago_s for _, ago_s in found if ago_s is not None), default=-inf)
        terms: list[str] = []
        for erasure, ago_s in found:
            if ago_s is not None:
                continue
            try:
                terms += service.terms_of(erasure, self.sealer)
            except Unsealable:
                # its worker cannot read them either, so it never ends and promises nothing
                logger.warning("the erasure %s withholds nothing: the key of its terms is gone", erasure.id)
        return _withholds(terms, ended_s)


def _withholds(terms: Sequence[str], ended_s: float) -> Withholds:
    return lambda said, asked_s: asked_s <= ended_s or (bool(terms) and hold(terms, said))
