"""Ollama's template, put together from what the model's own writes: right for every conversation, or not there."""

import pytest

from worker.export import modelfile
from worker.training.data.chat_template import ChatTemplate

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WITH_DEFAULT = "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}" + CHATML
WITH_BEGIN = (
    "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}]{{ message['content'] }}<end>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
COUNTING = CHATML.replace("<|im_start|>{{", "<|im_start|>{{ loop.index }}{{")
CHAT = [
    {"role": "user", "content": "One"},
    {"role": "assistant", "content": "Two"},
    {"role": "user", "content": "Three"},
]
SYSTEM = {"role": "system", "content": "Be brief."}


def template(source: str) -> ChatTemplate:
    return ChatTemplate(source, special_tokens={"bos_token": "<s>", "eos_token": "<|im_end|>"})


@pytest.mark.parametrize(
    ("source", "begin", "end"),
    [(CHATML, "", "<|im_end|>"), (WITH_DEFAULT, "", "<|im_end|>"), (WITH_BEGIN, "<s>", "<end>"), (CHATML, "", "")],
)
def test_it_writes_what_the_models_own_writes(source: str, begin: str, end: str) -> None:
    turns = modelfile.turns_of(template(source), begin=begin, end=end)
    assert turns is not None
    for messages in (CHAT, [SYSTEM, *CHAT], CHAT[:1]):
        assert turns.render(messages) == template(source).render(messages, add_generation_prompt=True)


def test_each_turn_is_whole_in_its_branch() -> None:
    turns = modelfile.turns_of(template(WITH_DEFAULT), end="<|im_end|>")
    assert turns is not None
    assert turns.as_go() == (
        "{{ if not .System }}<|im_start|>system\nBe kind.<|im_end|>\n{{ end }}{{ range .Messages }}"
        '{{ if eq .Role "system" }}<|im_start|>system\n{{ .Content }}<|im_end|>\n'
        '{{ else if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n'
        '{{ else if eq .Role "assistant" }}<|im_start|>assistant\n{{ .Content }}<|im_end|>\n'
        "{{ end }}{{ end }}<|im_start|>assistant\n"
    )


def test_what_the_tokenizer_puts_before_every_text_is_not_put_there_twice() -> None:
    turns = modelfile.turns_of(template(WITH_BEGIN), begin="<s>", end="<end>")
    assert turns is not None
    assert "<s>" not in turns.as_go()


def test_a_template_that_does_more_is_left_to_the_gguf_and_that_is_said() -> None:
    assert modelfile.turns_of(template(COUNTING), end="<|im_end|>") is None
    described = modelfile.write(template(COUNTING), begin="", end="<|im_end|>", context_tokens=131_072)
    assert "TEMPLATE" not in described
    assert "the one in the GGUF file is used" in described
    assert 'PARAMETER stop "<|im_end|>"' in described
    assert "PARAMETER num_ctx 8192" in described
