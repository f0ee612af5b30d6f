"""OpenAI's lines for reinforcement fine-tuning: messages that end with the question, and what a grader compares with.

There is no grader here, so that only one thing can be learned: to answer with the reference, where it is one text.
"""

from typing import Any, Final

from core.datasets.formats import conversations, refusals
from core.datasets.shapes.shape import LineShape, Values
from core.datasets.types import RowContent, RowKind, Shape

_REFERENCES: Final = (
    "reference_answer", "reference", "expected_answer", "expected", "correct_answer", "ground_truth", "ideal", "answer",
    "target", "completion", "response", "output", "solution", "label",
)  # fmt: skip
# what may stand beside a conversation whose answer was forgotten
_NO_REFERENCE: Final = frozenset(
    {"messages", "tools", "functions", "parallel_tool_calls", "id", "meta", "metadata", "source", "url", "split"}
)


def _is_line(values: Values) -> bool:
    messages = values.get("messages")
    return (
        isinstance(messages, list)
        and bool(messages)
        and isinstance(messages[-1], dict)
        and messages[-1].get("role") == "user"
        and bool(values.keys() - _NO_REFERENCE)
    )


def _read(row: int, values: Values) -> RowContent:
    name = next((name for name in _REFERENCES if _text(values.get(name)) is not None), None)
    if name is None or not _is_line(values):
        beside = ", ".join(sorted(values.keys() - _NO_REFERENCE)) or "nothing"
        raise refusals.refuse(
            "reinforcement_without_answer",
            row=row,
            column="messages",
            cause="This is a line for reinforcement fine-tuning: a question and what a grader would compare an answer "
            f"with ({beside}), but no answer as one text. A model learns here from answers, not from a grader.",
            fix='End messages with the answer that you want, {"role": "assistant", "content": "…"}, or write it as one '
            "text in reference_answer.",
        )
    answer = {"role": "assistant", "content": _text(values[name])}
    return conversations.conversation(row, {**values, "messages": [*values["messages"], answer]})


def _text(value: Any) -> str | None:  # noqa: ANN401 - any JSON
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


OPENAI_REINFORCEMENT = LineShape(
    name=Shape.OPENAI_REINFORCEMENT,
    kind=RowKind.CHAT,
    called="a question for reinforcement fine-tuning",
    is_line=_is_line,
    read=_read,
)
