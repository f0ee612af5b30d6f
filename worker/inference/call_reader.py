"""Between the text of an answer and whoever reads it: calls of tools are held back, and told as calls."""

import json
from collections.abc import Collection, Sequence

from core.inference.types import ToolCall
from core.kit.ids import new_id
from worker.training.data.tool_calls import CallSyntax


class CallReader:
    """What is no call of one of the tools, written as the model's template writes calls, stays text."""

    def __init__(self, syntax: CallSyntax, names: Collection[str], *, may_call_several: bool) -> None:
        self._syntax = syntax
        self._names = names
        self._may_call_several = may_call_several
        self._held = ""
        self._is_text = False
        """Nothing that comes can be a call any more."""

    @property
    def num_held(self) -> int:
        return len(self._held)

    @property
    def is_over(self) -> bool:
        """Whether all is said that may be said: one call where no more are wanted."""
        return not self._may_call_several and self._held.rstrip().endswith(("}", "]", ">")) and bool(self._calls())

    def push(self, text: str) -> str:
        """Returns the text that is certain to be no call."""
        if self._is_text:
            return text
        self._held += text
        num_text = self._num_text()
        released, self._held = self._held[:num_text], self._held[num_text:]
        return released

    def finish(self) -> tuple[str, Sequence[ToolCall]]:
        """The rest: text or calls."""
        calls, held, self._held = self._calls(), self._held, ""
        return ("", calls) if calls else (held, ())

    def _calls(self) -> Sequence[ToolCall]:
        found = self._syntax.read(self._held)
        if any(call.name not in self._names for call in found):
            return ()
        return [
            ToolCall(id=new_id("call_"), name=call.name, arguments=json.dumps(call.arguments, ensure_ascii=False))
            for call in (found if self._may_call_several else found[:1])
        ]

    def _num_text(self) -> int:
        """How much of what is held is text, without the blanks before what may be a call."""
        opening = self._syntax.opening
        if not opening:
            # nothing marks a call but that the answer begins with it
            begun = self._held.lstrip()
            self._is_text = bool(begun) and not begun.startswith("{")
            return len(self._held) if self._is_text else 0
        start = self._held.find(opening)
        if start < 0:
            ends = range(len(opening) - 1, 0, -1)
            start = len(self._held) - next((size for size in ends if self._held.endswith(opening[:size])), 0)
        return len(self._held[:start].rstrip())
