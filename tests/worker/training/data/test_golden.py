"""One conversation per family, token by token, so that any change of tokens or weights is seen in review.

After a change that is meant: `GOLDEN_RECORD=1 python -m pytest tests/worker/training/data/test_golden.py`.
"""

import json
import os
from collections.abc import Callable

from tests.worker.training.data.conversations import CALLS, CHAT, TOOLS, WITH_TOOLS
from tests.worker.training.data.families import ASSETS
from worker.training.data.chat_format import ChatFormat


def test_tokens_and_weights_are_the_recorded_ones(family: str, format_of: Callable[[str], ChatFormat]) -> None:
    path = ASSETS / "chat_formats" / f"{family}.json"
    messages, tools = ([*CHAT[1:], *CALLS], TOOLS) if family in WITH_TOOLS else (CHAT, None)
    chat = format_of(family).tokenize(messages, tools=tools)
    pieces = format_of(family).explain(messages, tools=tools)
    assert [piece.token_id for piece in pieces] == chat.token_ids
    found = {
        "messages": messages,
        "tools": tools,
        "tokens": [
            [token_id, weight, piece.text, piece.kind]
            for token_id, weight, piece in zip(chat.token_ids, chat.weights, pieces, strict=True)
        ],
    }
    if os.environ.get("GOLDEN_RECORD"):
        path.write_text(_one_token_a_line(found))
    assert json.loads(path.read_text()) == found


def _one_token_a_line(found: dict[str, object]) -> str:
    """`[id, weight, text, who wrote it]` each on its own line, for a readable diff."""
    tokens = found["tokens"]
    assert isinstance(tokens, list)
    lines = ",\n".join("    " + json.dumps(token, ensure_ascii=False) for token in tokens)
    head = json.dumps({**found, "tokens": []}, ensure_ascii=False, indent=2)
    return head.replace('"tokens": []', f'"tokens": [\n{lines}\n  ]') + "\n"
