"""Every shape of a line, the more particular before the more general: the first that fits is it."""

from typing import Final

from core.datasets.shapes.alpaca import ALPACA
from core.datasets.shapes.openai_chat import OPENAI_CHAT
from core.datasets.shapes.openai_reinforcement import OPENAI_REINFORCEMENT
from core.datasets.shapes.plain_text import PLAIN_TEXT
from core.datasets.shapes.preference import PREFERENCE
from core.datasets.shapes.prompt_completion import PROMPT_COMPLETION
from core.datasets.shapes.shape import LineShape, Values
from core.datasets.shapes.sharegpt import SHAREGPT

SHAPES: Final[tuple[LineShape, ...]] = (
    SHAREGPT,
    OPENAI_REINFORCEMENT,
    OPENAI_CHAT,
    PREFERENCE,
    PROMPT_COMPLETION,
    ALPACA,
    PLAIN_TEXT,
)


def shape_of(values: Values) -> LineShape | None:
    """None for a line of named values, of which a mapping says what they are."""
    return next((shape for shape in SHAPES if shape.is_line(values)), None)
