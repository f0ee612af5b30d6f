"""What was said is stored after it was sent, and somebody may have to be forgotten meanwhile.

Who keeps answers asks first, in the transaction that stores them: `core.erasures.withholding` is who knows.
"""

from collections.abc import Callable
from typing import Protocol

from sqlalchemy.orm import Session

Withholds = Callable[[object, float], bool]
"""Whether what was said (JSON), which was asked for at this `time.monotonic()`, must not be stored."""


class Gate(Protocol):
    def __call__(self, session: Session, /, *, workspace_id: str, since_s: float) -> Withholds:
        """For what was asked in the workspace at that `time.monotonic()` or later, until the transaction ends."""
        ...
