"""Where in a rendered conversation the assistant's turns lie: after what opens one, through the token that ends it.

That is what the model must write itself once its turn was opened: its words, the markers around a call of a tool, an
empty block of reasoning that the template puts before an answer, and the end of the turn.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import Invalid
from worker.training.data.chat_template import ChatTemplate
from worker.training.data.guarded_tokenizer import GuardedTokenizer

_QUESTION = {"role": "user", "content": "What is 2 + 2?"}
_ANSWER = {"role": "assistant", "content": "Four, naturally."}


class Turns:
    """Found by rendering small conversations; raises Invalid for a template that does not delimit turns by tokens."""

    def __init__(self, template: ChatTemplate, tokenizer: GuardedTokenizer, tool_prompt: str | None) -> None:
        end = _end_alias(template, tokenizer)
        self.end_id = tokenizer.id_of_alias(end)
        openings = _openings(template, tokenizer, tool_prompt)
        self._pattern = re.compile(f"(?P<opening>{'|'.join(map(re.escape, openings))})|{re.escape(end)}")

    def find(self, written: str) -> list[tuple[int, int]]:
        """First and last + 1 character of each of the assistant's turns, its end-of-turn token included."""
        found = []
        start: int | None = None
        for match in self._pattern.finditer(written):
            if match["opening"]:
                start = match.end()
            elif start is not None:
                found.append((start, match.end()))
                start = None
        return found


def token_weights(
    spans: Sequence[tuple[int, int]], turns: Sequence[tuple[int, int]], weights: Sequence[float]
) -> list[float]:
    """Of each token the weight of the turn that it reaches into, also where it begins in the template's words."""
    ends = [end for _, end in spans]
    found = [0.0] * len(ends)
    for (start, end), weight in zip(turns, weights, strict=True):
        # several tokens may end with the same character, of which each has some bytes
        first, last = bisect_right(ends, start), max(bisect_right(ends, end), bisect_left(ends, end) + 1)
        found[first:last] = [weight] * (last - first)
    return found


def _end_alias(template: ChatTemplate, tokenizer: GuardedTokenizer) -> str:
    """The special token that follows an answer with nothing but blanks between."""
    rendered = tokenizer.written(template.render([_QUESTION, _ANSWER], add_generation_prompt=False))
    content = _ANSWER["content"]
    start = rendered.find(content) + len(content)
    following = next((match for match in tokenizer.aliases_in(rendered) if match.start() >= start), None)
    if (
        content not in rendered
        or following is None
        or rendered[start : following.start()].strip()
        or not tokenizer.is_special(tokenizer.id_of_alias(following[0]))
    ):
        raise Invalid(
            "This base model's chat template does not close an answer with a special token, so a tuned model would "
            "never learn to stop.",
            code="chat_template_unsupported",
        )
    return following[0]


def _openings(template: ChatTemplate, tokenizer: GuardedTokenizer, tool_prompt: str | None) -> list[str]:
    """What the template writes to ask for an answer; Mistral's write nothing: there the end of the question does it."""
    question: Sequence[Mapping[str, Any]] = [_QUESTION]
    asked = tokenizer.written(template.render(question, add_generation_prompt=False))
    prompt = tokenizer.written(template.render(question, add_generation_prompt=True))
    if prompt != asked and prompt.startswith(asked):
        openings = [prompt[len(asked) :]]
    else:
        prompts = [prompt] if tool_prompt is None else [prompt, tool_prompt]
        openings = [prompt[last.start() :] for prompt in prompts for last in [*tokenizer.aliases_in(prompt)][-1:]]
    if not openings or not all(
        any(tokenizer.is_special(tokenizer.id_of_alias(alias[0])) for alias in tokenizer.aliases_in(one))
        for one in openings
    ):
        raise Invalid(
            "This base model's chat template does not open an answer with a special token, so what the assistant says "
            "cannot be told from what it is told.",
            code="chat_template_unsupported",
        )
    return openings
