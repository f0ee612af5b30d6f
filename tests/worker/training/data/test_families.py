"""Every family of base models: ids are those of its own template, and trained is what the model must write itself."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from core.errors import Invalid
from tests.worker.training.data.conversations import CALLS, CHAT, TOOLS, WITH_TOOLS, Row, called
from worker.training.data.chat_format import ChatFormat

FormatOf = Callable[[str], ChatFormat]
OracleOf = Callable[[str], PreTrainedTokenizerFast]
calling_families = pytest.mark.parametrize("family", WITH_TOOLS)
tokenizers = pytest.mark.tokenizers


def oracle_ids(oracle: PreTrainedTokenizerFast, messages: list[Row], **options: Any) -> list[int]:  # noqa: ANN401
    ids: list[int] = oracle.apply_chat_template(messages, return_dict=False, date_string="26 Jul 2024", **options)
    return ids


def expected_row(family: str, oracle: PreTrainedTokenizerFast, messages: list[Row], **options: Any) -> list[int]:  # noqa: ANN401
    """Mistral's template forgets the system message in a row, so there it is the prompt and what the answer adds."""
    row = oracle_ids(oracle, messages, **options)
    if family != "mistral-v0.3":
        return row
    prompt = oracle_ids(oracle, messages[:-1], add_generation_prompt=True, **options)
    bare = [message for message in messages if message["role"] != "system"]
    row, bare_prompt = (
        oracle_ids(oracle, bare, **options),
        oracle_ids(oracle, bare[:-1], add_generation_prompt=True, **options),
    )
    assert row[: len(bare_prompt)] == bare_prompt
    return prompt + row[len(bare_prompt) :]


def trained(chat_format: ChatFormat, messages: list[Row], **options: Any) -> list[int]:  # noqa: ANN401
    chat = chat_format.tokenize(messages, **options)
    return [token for token, weight in zip(chat.token_ids, chat.weights, strict=True) if weight]


@pytest.mark.parametrize("num_messages", [3, 5])
@pytest.mark.parametrize("first", [0, 1], ids=["system", "no system"])
def test_ids_are_those_of_the_models_own_template(
    family: str, format_of: FormatOf, oracle_of: OracleOf, first: int, num_messages: int
) -> None:
    messages, oracle = CHAT[first:num_messages], oracle_of(family)
    assert format_of(family).tokenize(messages).token_ids == expected_row(family, oracle, messages)
    expected = oracle_ids(oracle, messages[:-1], add_generation_prompt=True)
    assert format_of(family).render_prompt(messages[:-1]) == expected


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Co"]), max_size=40).filter(
    # those of a special token are the other tests' matter
    lambda text: not any(sign in text for sign in "<>|[]")
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(question=TEXTS, answer=TEXTS, follow_up=TEXTS)
def test_ids_are_those_of_the_models_own_template_for_any_text(
    family: str, format_of: FormatOf, oracle_of: OracleOf, question: str, answer: str, follow_up: str
) -> None:
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
        {"role": "user", "content": follow_up},
        {"role": "assistant", "content": answer},
    ]
    assert format_of(family).tokenize(messages).token_ids == oracle_ids(oracle_of(family), messages)


@tokenizers
@calling_families
@pytest.mark.parametrize("num_messages", [2, 4, 8])
def test_ids_with_tools_are_those_of_the_models_own_template(
    family: str, format_of: FormatOf, oracle_of: OracleOf, num_messages: int
) -> None:
    messages, oracle, chat_format = CALLS[:num_messages], oracle_of(family), format_of(family)
    assert chat_format.tokenize(messages, tools=TOOLS).token_ids == oracle_ids(oracle, messages, tools=TOOLS)
    expected = oracle_ids(oracle, messages[:-1], tools=TOOLS, add_generation_prompt=True)
    assert chat_format.render_prompt(messages[:-1], tools=TOOLS) == expected


@tokenizers
@pytest.mark.parametrize("family", ["qwen2.5", "qwen3", "mistral-v0.3"])
def test_several_calls_at_once_are_one_turn(family: str, format_of: FormatOf, oracle_of: OracleOf) -> None:
    messages = [
        CALLS[0],
        {**CALLS[1], "tool_calls": [called("abcdefgh1", {"port": "Ghent"}), called("abcdefgh2", {"port": "Ostend"})]},
        {"role": "tool", "content": "high", "tool_call_id": "abcdefgh1"},
        {"role": "tool", "content": "low", "tool_call_id": "abcdefgh2"},
        CALLS[3],
    ]
    chat = format_of(family).tokenize(messages, tools=TOOLS)
    assert chat.token_ids == oracle_ids(oracle_of(family), messages, tools=TOOLS)
    learned = format_of(family).decode(trained(format_of(family), messages, tools=TOOLS))
    assert learned.count("find_tide") == 2
    assert "high" in learned  # of the answer
    assert '"low"' not in learned


def test_trained_are_the_answers_and_the_ends_of_their_turns(chat_format: ChatFormat, family: str) -> None:
    learned = trained(chat_format, CHAT)
    assert learned.count(chat_format.end_of_turn_id) == 2
    assert learned[-1] == chat_format.end_of_turn_id
    # what Qwen3 writes before an answer without reasoning, the model must write too
    block = "<think>\n\n</think>\n\n" if family == "qwen3" else ""
    expected = CHAT[2]["content"] + block + CHAT[4]["content"]
    assert chat_format.decode(learned).strip() == (
        expected.replace(CHAT[2]["content"], CHAT[2]["content"] + " ") if family == "mistral-v0.3" else expected
    )


def test_a_row_is_the_prompt_of_its_last_answer_and_then_trained_to_its_end(chat_format: ChatFormat) -> None:
    prompt, chat = chat_format.render_prompt(CHAT[:-1]), chat_format.tokenize(CHAT)
    assert chat.token_ids[: len(prompt)] == prompt
    last = len(chat.token_ids) - chat.token_ids[::-1].index(chat_format.end_of_turn_id)
    assert chat.weights[len(prompt) : last] == [1.0] * (last - len(prompt))
    assert not any(chat.weights[last:])


def test_a_weight_is_that_of_a_whole_turn(chat_format: ChatFormat) -> None:
    weighed = [*CHAT[:2], {**CHAT[2], "weight": 0}, CHAT[3], {**CHAT[4], "weight": 0.25}]
    chat, whole = chat_format.tokenize(weighed), chat_format.tokenize(CHAT)
    assert chat.token_ids == whole.token_ids
    assert set(chat.weights) == {0.0, 0.25}
    prompt = chat_format.render_prompt(CHAT[:-1])
    assert not any(chat.weights[: len(prompt)])
    assert sum(chat.weights) == 0.25 * sum(whole.weights[len(prompt) :])


@tokenizers
@calling_families
def test_calls_are_trained_and_what_tools_say_never(format_of: FormatOf, family: str) -> None:
    chat_format = format_of(family)
    learned = trained(chat_format, CALLS, tools=TOOLS)
    text = chat_format.decode(learned)
    assert text.count("find_tide") == 2
    assert text.count('"port": "') == 2
    assert learned.count(chat_format.end_of_turn_id) == 4
    assert "metres" not in text
    assert "Height of the tide" not in text
    masked = [{**message, "weight": 0} if message.get("tool_calls") else message for message in CALLS]
    assert "find_tide" not in chat_format.decode(trained(chat_format, masked, tools=TOOLS))


@tokenizers
@calling_families
def test_arguments_may_be_text_or_an_object(format_of: FormatOf, family: str) -> None:
    written = [CALLS[0], {**CALLS[1], "tool_calls": [called("abcdefgh1", '{"port":"Zeebrügge",\n"day":3}')]}]
    chat_format = format_of(family)
    assert chat_format.tokenize(written, tools=TOOLS) == chat_format.tokenize(CALLS[:2], tools=TOOLS)
    for arguments in ("no JSON", "[1]", "null"):
        broken = [CALLS[0], {**CALLS[1], "tool_calls": [called("abcdefgh1", arguments)]}]
        with pytest.raises(Invalid) as refused:
            chat_format.tokenize(broken, tools=TOOLS)
        assert refused.value.error_code == "tool_call_malformed"


@pytest.mark.parametrize(
    "family", [pytest.param("gemma-3", marks=tokenizers), pytest.param("smollm2", marks=pytest.mark.model)]
)
@pytest.mark.parametrize("tools", [None, TOOLS])
def test_a_template_without_a_place_for_tools_refuses_them(
    format_of: FormatOf, family: str, tools: list[Row] | None
) -> None:
    with pytest.raises(Invalid) as refused:
        format_of(family).tokenize(CHAT if tools else CALLS, tools=tools)
    assert refused.value.error_code == "tools_unsupported"


@tokenizers
@pytest.mark.parametrize("family", ["llama-3.1", "llama-3.2", "mistral-v0.3"])
def test_a_text_that_the_template_drops_beside_a_call_is_refused(format_of: FormatOf, family: str) -> None:
    messages = [CALLS[0], {**CALLS[1], "content": "Let me look it up."}]
    with pytest.raises(Invalid) as refused:
        format_of(family).tokenize(messages, tools=TOOLS)
    assert refused.value.error_code == "answer_left_out"


@tokenizers
@pytest.mark.parametrize("family", ["qwen2.5", "qwen3"])
def test_a_text_beside_a_call_is_trained_where_the_template_keeps_it(format_of: FormatOf, family: str) -> None:
    messages = [CALLS[0], {**CALLS[1], "content": "Let me look it up."}]
    learned = format_of(family).decode(trained(format_of(family), messages, tools=TOOLS))
    assert "Let me look it up.\n<tool_call>\n" in learned


@tokenizers
@pytest.mark.parametrize("family", ["llama-3.1", "gemma-3", "mistral-v0.3"])
def test_a_conversation_that_the_template_refuses_is_refused(format_of: FormatOf, family: str) -> None:
    two_calls = [CALLS[0], {**CALLS[1], "tool_calls": CALLS[1]["tool_calls"] * 2}]
    messages, tools = (two_calls, TOOLS) if family == "llama-3.1" else ([CHAT[1], CHAT[1], CHAT[2]], None)
    with pytest.raises(Invalid) as refused:
        format_of(family).tokenize(messages, tools=tools)
    assert refused.value.error_code == "conversation_refused"


@tokenizers
@pytest.mark.parametrize("family", ["llama-3.1", "llama-3.2"])
def test_the_day_is_always_the_same(format_of: FormatOf, family: str) -> None:
    assert "Today Date: 26 Jul 2024\n" in format_of(family).decode(format_of(family).tokenize(CHAT).token_ids)


@tokenizers
def test_mistral_reads_the_system_message_before_the_last_question(format_of: FormatOf) -> None:
    mistral = format_of("mistral-v0.3")
    text = mistral.decode(mistral.tokenize(CHAT).token_ids)
    assert text.count("Be brief.") == 1
    assert text.index("Be brief.") > text.index("gamma.")
    # the template forgets it after a tool has answered; better refused than trained without
    with pytest.raises(Invalid) as refused:
        mistral.tokenize([CHAT[0], *CALLS[:4]], tools=TOOLS)
    assert refused.value.error_code == "message_left_out"


@tokenizers
def test_mistral_is_given_ids_that_it_takes(format_of: FormatOf) -> None:
    mistral = format_of("mistral-v0.3")
    long = [{**message} for message in CALLS[:4]]
    long[1]["tool_calls"] = [called("call_0123456789", {"port": "Ostend"})]
    long[2]["tool_call_id"] = "call_0123456789"
    ids = mistral.tokenize(long, tools=TOOLS).token_ids
    assert ids == mistral.tokenize(long, tools=TOOLS).token_ids
    assert "call_0123456789" not in mistral.decode(ids)
    missing = [{key: value for key, value in message.items() if key != "tool_call_id"} for message in CALLS[:4]]
    missing[1]["tool_calls"] = [{"type": "function", "function": CALLS[1]["tool_calls"][0]["function"]}]
    assert len(mistral.tokenize(missing, tools=TOOLS).token_ids) > 0


class TestQwen3Reasoning:
    pytestmark = tokenizers
    QUESTION: ClassVar[Row] = {"role": "user", "content": "2 + 2?"}
    REASONED: ClassVar[Row] = {"role": "assistant", "content": "<think>\nTwo and two.\n</think>\n\nFour."}

    def test_the_last_answers_reasoning_is_trained(self, format_of: FormatOf, oracle_of: OracleOf) -> None:
        messages, qwen = [self.QUESTION, self.REASONED], format_of("qwen3")
        assert qwen.tokenize(messages).token_ids == oracle_ids(oracle_of("qwen3"), messages)
        assert qwen.decode(trained(qwen, messages)) == self.REASONED["content"]

    def test_an_earlier_answer_that_lost_its_reasoning_is_not_trained(
        self, format_of: FormatOf, oracle_of: OracleOf
    ) -> None:
        messages, qwen = [self.QUESTION, self.REASONED] * 2, format_of("qwen3")
        assert qwen.tokenize(messages).token_ids == oracle_ids(oracle_of("qwen3"), messages)
        assert qwen.decode(trained(qwen, messages)) == self.REASONED["content"]

    def test_a_user_cannot_reason_for_the_model(self, format_of: FormatOf) -> None:
        qwen = format_of("qwen3")
        forged = [{"role": "user", "content": self.REASONED["content"]}, {"role": "assistant", "content": "Four."}]
        honest = [self.QUESTION, forged[1]]
        tags = set(qwen.tokenize([self.QUESTION, self.REASONED]).token_ids) & {151667, 151668}
        assert len(tags) == 2
        counts = [sum(token in tags for token in qwen.tokenize(row).token_ids) for row in (forged, honest)]
        assert counts == [2, 2]  # the template's own empty block


def test_plain_text_is_as_the_tokenizer_has_it_and_ends(family: str, format_of: FormatOf, oracle_of: OracleOf) -> None:
    text, oracle = "Plain é 日本\n\n  text.", oracle_of(family)
    assert format_of(family).encode_text(text) == [*oracle.encode(text), oracle.eos_token_id]
