"""What columns are called, by the part that they play; the likelier names first."""

import re
from collections.abc import Sequence
from typing import Final

from core.datasets.types import ColumnRole

# a table with both `instruction` and `input` asks its question in `instruction`
PAIRS: Final[dict[ColumnRole, tuple[str, ...]]] = {
    ColumnRole.QUESTION: (
        "question", "prompt", "instruction", "input", "query", "user", "request", "customer", "message", "ticket",
        "text", "review", "comment", "sentence", "source", "q",
    ),
    ColumnRole.ANSWER: (
        "answer", "response", "output", "completion", "reply", "assistant", "label", "target", "category", "class",
        "sentiment", "summary", "translation", "resolution", "solution", "result", "a",
    ),
    ColumnRole.SYSTEM: ("system", "instructions", "persona"),
}  # fmt: skip
CONTEXT: Final = ("input", "context", "body", "details", "description", "passage")
# what stands above a text that is asked
HEADLINE: Final = ("subject", "betreff")
DATES: Final = ("timestamp", "createdat", "sentat", "datetime", "time", "created", "sent", "date", "when", "receivedat")
THREADS: Final[dict[ColumnRole, tuple[str, ...]]] = {
    ColumnRole.CONVERSATION: (
        "conversationid", "ticketid", "threadid", "dialogueid", "dialogid", "chatid", "caseid", "sessionid",
        "requestid", "issueid", "conversation", "ticket", "thread", "dialogue", "dialog", "case", "session", "chat",
    ),
    ColumnRole.SPEAKER: (
        "speaker", "role", "sendertype", "authortype", "authorrole", "senderrole", "isagent", "isstaff", "fromagent",
        "iscustomer", "fromcustomer", "isinbound", "byagent", "issupport", "sender", "author", "from", "fromaddress",
        "fromemail", "sentby", "direction", "inbound", "outbound", "participant", "who",
    ),
    ColumnRole.TIME: (*DATES, "turn"),
    ColumnRole.MESSAGE: (
        "message", "messagetext", "messagebody", "body", "text", "content", "utterance", "comment", "plainbody",
    ),
}  # fmt: skip
PREFERENCES: Final[dict[ColumnRole, tuple[str, ...]]] = {
    ColumnRole.CHOSEN: ("chosen", "preferred", "better", "good", "best", "accepted", "winner"),
    ColumnRole.REJECTED: ("rejected", "dispreferred", "worse", "bad", "worst", "declined", "loser"),
}
TEXTS: Final = ("text", "content", "body", "document", "article", "page")

# names that nobody gives to an example; one letter may well be an answer
KNOWN: Final = frozenset(name for names in PAIRS.values() for name in names if len(name) > 1) | {
    "id", "chosen", "rejected", "conversation_id", "ticket_id", "thread_id", "created_at", "timestamp", "speaker",
    "sender", "role", "subject", "body",
}  # fmt: skip
_WORDS = re.compile(r"[a-z0-9]+")


def words(name: str) -> list[str]:
    return _WORDS.findall(name.casefold())


def find(candidates: Sequence[str], names: Sequence[str], *, is_whole_name: bool) -> str | None:
    """The first of `names` that is called like the likeliest candidate."""
    for candidate in candidates:
        for name in names:
            parts = words(name)
            # a single letter is a name of its own, not a part of one
            if "".join(parts) == candidate if is_whole_name else len(candidate) > 1 and candidate in parts:
                return name
    return None


def find_any(candidates: Sequence[str], names: Sequence[str]) -> str | None:
    """By the whole name, else by a word of it."""
    return find(candidates, names, is_whole_name=True) or find(candidates, names, is_whole_name=False)
