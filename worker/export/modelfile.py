"""Ollama's description of a model beside its GGUF file: where a turn begins and ends, where to stop, how much to read.

Ollama writes prompts by a template of its own (Go's text/template), not by the model's. One is put together from what
the model's template writes for small conversations, and used only if it writes the same for others: else the file has
no template, and Ollama takes what it knows of the one in the GGUF.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.errors import Invalid
from worker.training.data.chat_template import ChatTemplate

MODEL: Final = "model.gguf"
_SYSTEM, _USER, _ANSWER, _MORE, _LAST = "s9SYSTEM9s", "u9FIRST9u", "a9ANSWER9a", "u9SECOND9u", "a9LAST9a"
MAX_CONTEXT: Final = 8192

Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Turns:
    """What a template writes around the words of each role."""

    begin: str
    no_system: str
    system: tuple[str, str]
    user: tuple[str, str]
    assistant: tuple[str, str]
    answer: str

    def render(self, messages: Messages) -> str:
        """As Ollama renders `as_go`."""
        has_system = bool(messages) and messages[0]["role"] == "system"
        parts = [self.begin, "" if has_system else self.no_system]
        for message in messages:
            before, after = {"system": self.system, "user": self.user, "assistant": self.assistant}[message["role"]]
            parts += [before, message["content"], after]
        return "".join([*parts, self.answer])

    def as_go(self) -> str:
        roles = (("system", self.system), ("user", self.user), ("assistant", self.assistant))
        branches = "".join(
            f'{{{{ {"if" if number == 0 else "else if"} eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{after}'
            for number, (role, (before, after)) in enumerate(roles)
        )
        default = f"{{{{ if not .System }}}}{self.no_system}{{{{ end }}}}" if self.no_system else ""
        # the token that begins a text is put there by Ollama itself
        return f"{default}{{{{ range .Messages }}}}{branches}{{{{ end }}}}{{{{ end }}}}{self.answer}"


def turns_of(template: ChatTemplate, *, begin: str = "", end: str = "") -> Turns | None:
    """None for a template that does more than to write something before and after each turn.

    `begin` is what the tokenizer puts before every text by itself, `end` what ends a turn.
    """
    try:
        found = _taken_apart(template, begin, end)
        if found is not None and all(_agrees(template, found, one) for one in _TRIED):
            return found
    except (Invalid, ValueError):
        pass
    return None


def write(template: ChatTemplate, *, begin: str, end: str, context_tokens: int) -> str:
    turns = turns_of(template, begin=begin, end=end)
    lines = [
        "# ollama create NAME -f Modelfile, then: ollama run NAME",
        f"FROM ./{MODEL}",
    ]
    if turns is None:
        lines.append("# The model's own template does more than Ollama's can say; the one in the GGUF file is used.")
    elif '"""' not in turns.as_go():
        lines.append(f'TEMPLATE """{turns.as_go()}"""')
    if '"' not in end and end.strip():
        lines.append(f'PARAMETER stop "{end}"')
    lines.append(f"PARAMETER num_ctx {min(MAX_CONTEXT, context_tokens)}")
    return "\n".join(lines) + "\n"


def _of(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


_TRIED: Final[tuple[Messages, ...]] = (
    (_of("user", "What is 2 + 2?"),),
    (_of("system", "Be brief."), _of("user", "Why?\n\nSay it in one word.")),
    (_of("user", "One"), _of("assistant", "Two"), _of("user", "Three"), _of("assistant", "Four"), _of("user", "Five")),
    (_of("system", "Be brief."), _of("user", "One"), _of("assistant", "Two"), _of("user", "Three")),
)


def _taken_apart(template: ChatTemplate, begin: str, end_of_turn: str) -> Turns | None:
    def rendered(*messages: dict[str, str]) -> str:
        return template.render(messages, add_generation_prompt=True)

    long = rendered(
        _of("system", _SYSTEM), _of("user", _USER), _of("assistant", _ANSWER), _of("user", _MORE),
        _of("assistant", _LAST), _of("user", _USER),
    )  # fmt: skip
    pieces, rest = [], long
    for words in (_SYSTEM, _USER, _ANSWER, _MORE, _LAST, _USER):
        before, found, rest = rest.partition(words)
        if not found:
            return None
        pieces.append(before)
    first, to_user, to_answer, to_more, to_last, to_user_again = pieces
    if to_answer != to_last or to_more != to_user_again:
        return None
    short, _, end = rendered(_of("user", _USER)).partition(_USER)
    if end != rest or to_answer != rest:
        return None
    user_before = to_more.rpartition(end_of_turn)[2].lstrip("\n") if end_of_turn else ""
    if not (user_before and to_user.endswith(user_before) and short.endswith(user_before)):
        user_before = _common_end(_common_end(to_user, to_more), short)
    assistant_after = to_more.removesuffix(user_before)
    # what ends a turn is the same for both, where the template has such an end
    user_after = assistant_after if to_answer.startswith(assistant_after) else ""
    opened = to_answer.removeprefix(user_after)
    no_system = short.removesuffix(user_before)
    if not (begin and first.startswith(begin) and no_system.startswith(begin)):
        begin = ""
    return Turns(
        begin=begin,
        no_system=no_system.removeprefix(begin),
        system=(first.removeprefix(begin), to_user.removesuffix(user_before)),
        user=(user_before, user_after),
        assistant=(opened, assistant_after),
        answer=opened,
    )


def _common_end(one: str, other: str) -> str:
    """The longest text that both end with."""
    length = 0
    while length < min(len(one), len(other)) and one[-1 - length] == other[-1 - length]:
        length += 1
    return one[len(one) - length :]


def _agrees(template: ChatTemplate, turns: Turns, messages: Messages) -> bool:
    return turns.render(messages) == template.render(messages, add_generation_prompt=True)
