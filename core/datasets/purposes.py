"""What a file is for, in the words of the OpenAI wire; what nothing here reads is refused by name."""

from enum import StrEnum
from typing import Final

from core.errors import Invalid


class Purpose(StrEnum):
    FINE_TUNE = "fine-tune"
    """Examples: looked at when they arrive, and refused if nothing can be learned from them."""
    EVALS = "evals"
    USER_DATA = "user_data"
    FINE_TUNE_RESULTS = "fine-tune-results"
    """The curve of a run that is done; only the service makes such a file."""


UPLOADED: Final = (Purpose.FINE_TUNE, Purpose.EVALS, Purpose.USER_DATA)
_REASONS: Final = {
    "assistants": "there are no assistants here",
    "assistants_output": "there are no assistants here",
    "batch": "there are no batches here: send the requests to /v1/chat/completions one by one",
    "batch_output": "there are no batches here",
    "vision": "the models here read text, not pictures",
    "fine-tune-results": "such files are made by the runs themselves",
}


def check_purpose(purpose: str) -> Purpose:
    """Raises `Invalid` (`unsupported_purpose`), saying why, for a purpose that is not served."""
    if purpose in UPLOADED:
        return Purpose(purpose)
    reason = _REASONS.get(purpose, "nobody knows this purpose")
    raise Invalid(
        f"A file cannot be uploaded for the purpose {purpose[:40]!r}: {reason}. "
        f"Choose one of: {', '.join(UPLOADED)}. Examples to learn from are {Purpose.FINE_TUNE.value!r}.",
        code="unsupported_purpose",
        param="purpose",
    )
