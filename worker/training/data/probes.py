"""What a chat template can do, found out by giving it small conversations when it is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import Invalid
from worker.training.data.chat_template import ChatTemplate

_SYSTEM = {"role": "system", "content": "Answer briefly."}
_CHAT: Sequence[Mapping[str, Any]] = (
    {"role": "user", "content": "What is 2 + 2?\n\nIn one word."},
    {"role": "assistant", "content": "Four, naturally."},
    {"role": "user", "content": "Thanks!"},
    {"role": "assistant", "content": "You are welcome."},
)
TOOL = {
    "type": "function",
    "function": {
        "name": "find_tide",
        "description": "Height of the tide.",
        "parameters": {"type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"]},
    },
}
_LONG_ID, _SHORT_ID = "call_of_the_probe", "callprobe"


@dataclass(frozen=True, slots=True)
class Probe:
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] | None
    add_generation_prompt: bool
    rendered: str


class Probes:
    """Raises Invalid for a template that refuses even a plain conversation.

    all              what could be rendered, to compare ids with the plain tokenizer's
    has_tools        the template writes definitions, calls and results of tools
    has_short_ids    it wants ids of calls to have nine letters or digits, as Mistral's do
    keeps_prompts    a row begins with the prompt of its last answer; Mistral's forget the system message in a row
    tool_prompt      the rendering that asks for an answer to a tool's result
    """

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self.all: list[Probe] = []
        self.keeps_prompts = True
        self._add(_CHAT)
        self._try([_SYSTEM, *_CHAT])
        self.has_short_ids = not self._try(_calling(_LONG_ID), tools=[TOOL]) and self._try(
            _calling(_SHORT_ID), tools=[TOOL]
        )
        with_tools = [probe for probe in self.all if probe.tools]
        self.has_tools = any(
            all(word in probe.rendered for word in ("find_tide", "Height of the tide.", "Ostend", "4.2 metres"))
            for probe in with_tools
        )
        if not self.has_tools:
            self.all = [probe for probe in self.all if not probe.tools]
        self.tool_prompt = next((one.rendered for one in with_tools if one.add_generation_prompt), None)

    def _try(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None = None) -> bool:
        try:
            self._add(messages, tools)
        except Invalid:
            return False
        return True

    def _add(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None = None) -> None:
        """The conversation as a row, and the prompt of its last answer."""
        row = self._template.render(messages, tools=tools, add_generation_prompt=False)
        prompt = self._template.render(messages[:-1], tools=tools, add_generation_prompt=True)
        self.all += [Probe(messages, tools, False, row), Probe(messages[:-1], tools, True, prompt)]
        self.keeps_prompts = self.keeps_prompts and row.startswith(prompt)


def _calling(call_id: str) -> list[Mapping[str, Any]]:
    function = {"name": "find_tide", "arguments": {"port": "Ostend"}}
    return [
        {"role": "user", "content": "How high is the tide in Ostend?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": call_id, "type": "function", "function": function}],
        },
        {"role": "tool", "content": "4.2 metres", "tool_call_id": call_id, "name": "find_tide"},
        {"role": "assistant", "content": "High enough to sail."},
    ]
