"""A model folder's chat template, rendered as transformers renders it, but without importing it (and torch) for that.

Ingest counts tokens with this in a small, short-lived process; seconds of imports would dwarf the work.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from core.errors import Invalid
from core.kit.hashing import sha256_bytes

_SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token")
# What a template that asks for the day is told, always: the date that Llama's own template falls back to. With the real
# one the same rows would train another model tomorrow, and a tuned model would be served a prompt that it never saw.
_TODAY = datetime(2024, 7, 26, tzinfo=UTC)
# what a template's own code may raise over a conversation that it was not written for
_REFUSALS = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)


class ChatTemplate:
    def __init__(self, source: str, *, special_tokens: Mapping[str, str]) -> None:
        self.source = source
        self.sha256 = sha256_bytes(source.encode())
        self.special_tokens = dict(special_tokens)
        extensions: list[str | type[Extension]] = [loopcontrols, _Generation]
        # the template comes with the model: sandboxed, so that a hub's file cannot reach into this process
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = _TODAY.strftime
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise Invalid(
                f"This base model's chat template cannot be read: {error}", code="chat_template_unsupported"
            ) from error

    @classmethod
    def load(cls, model_dir: Path) -> "ChatTemplate":
        """From `chat_template.jinja`, or `tokenizer_config.json` of older folders."""
        config_path, template_path = model_dir / "tokenizer_config.json", model_dir / "chat_template.jinja"
        config: dict[str, Any] = json.loads(config_path.read_text()) if config_path.exists() else {}
        source = template_path.read_text() if template_path.exists() else config.get("chat_template")
        if isinstance(source, list):
            source = next((one["template"] for one in source if one["name"] == "default"), None)
        if not isinstance(source, str) or not source:
            raise Invalid(
                "This base model has no chat template, so it cannot be tuned on conversations.", code="no_chat_template"
            )
        return cls(source, special_tokens={name: _content(config.get(name)) for name in _SPECIAL_NAMES})

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool,
    ) -> str:
        """Raises Invalid where the template refuses the conversation, e.g. for roles in an order it does not know."""
        try:
            return self._template.render(
                messages=[dict(message) for message in messages],
                tools=list(tools) if tools else None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                **self.special_tokens,
            )
        except _REFUSALS as error:
            raise Invalid(
                f"The base model's chat template refuses this conversation: {error}", code="conversation_refused"
            ) from error


class _Generation(Extension):
    """`{% generation %}` marks an answer for transformers' own masks; here it changes nothing."""

    tags = {"generation"}  # noqa: RUF012 - jinja declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _content(token: str | dict[str, Any] | None) -> str:
    """Older configurations spell a special token as an object."""
    return str(token["content"]) if isinstance(token, dict) else token or ""


def _to_json(
    value: object,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002 - templates call it as transformers defines it
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)
