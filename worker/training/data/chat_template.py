"""A model folder's chat template, rendered as transformers renders it, but without importing it (and torch) for that.

Ingest counts tokens with this in a small, short-lived process; seconds of imports would dwarf the work.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from core.errors import Invalid
from core.kit.clock import utc_now
from core.kit.hashing import sha256_bytes

_SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token")


class ChatTemplate:
    def __init__(self, source: str, *, special_tokens: Mapping[str, str]) -> None:
        self.sha256 = sha256_bytes(source.encode())
        self.special_tokens = dict(special_tokens)
        extensions: list[str | type[Extension]] = [loopcontrols]
        # the template comes with the model: sandboxed, so that a hub's file cannot reach into this process
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = lambda text: utc_now().strftime(text)
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
        if not isinstance(source, str) or not source:
            raise Invalid(
                "This base model has no chat template, so it cannot be tuned on conversations.", code="no_chat_template"
            )
        return cls(source, special_tokens={name: _content(config.get(name)) for name in _SPECIAL_NAMES})

    def render(self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool) -> str:
        """Raises Invalid where the template refuses the conversation, e.g. for roles in an order it does not know."""
        try:
            return self._template.render(
                messages=[dict(message) for message in messages],
                add_generation_prompt=add_generation_prompt,
                **self.special_tokens,
            )
        except TemplateError as error:
            raise Invalid(
                f"The base model's chat template refuses this conversation: {error}", code="conversation_refused"
            ) from error


def _content(token: str | dict[str, Any] | None) -> str:
    """Older configurations spell a special token as an object."""
    return str(token["content"]) if isinstance(token, dict) else token or ""


def _to_json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)
