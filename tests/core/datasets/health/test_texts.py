"""Answers that nobody meant to teach, and what came along from where they were copied."""

import pytest

from core.datasets.health import fixed
from core.datasets.health.check import HealthCheck
from core.datasets.rows import question_and_answer as ask
from core.datasets.types import RowContent
from tests.core.datasets.health.checked import check, codes_of_answer, finding_codes

SENTENCE = "The desk is open from eight to six, and on Fridays until four. "


def long_text(num_chars: int, *, end: str = "a") -> str:
    """So many characters, ending in the middle of a word unless told otherwise."""
    return (SENTENCE * (num_chars // len(SENTENCE) + 1))[: num_chars - len(end)] + end


class TestCutOff:
    @pytest.mark.parametrize(
        "answer",
        ["Do this:\n```python\nprint(1)\n", '{"name": "Ann", "tags": ["a", "b', long_text(1024), long_text(32767)],
    )
    def test_is_found(self, answer: str) -> None:
        assert codes_of_answer(answer) == ["cut_off"]
        assert fixed("cut_off", ask("a", answer)) is None

    @pytest.mark.parametrize(
        "answer",
        [
            "Do this:\n```python\nprint(1)\n```",
            '{"name": "Ann"}',
            '{"name": "Ann"} and so on',
            "[Note] see below",
            "{curly} words",
            long_text(1024, end="."),
            long_text(1030),
            "a short label",
            "[1] Smith 2004 [2",
        ],
    )
    def test_a_whole_answer_is_not(self, answer: str) -> None:
        assert codes_of_answer(answer) == []

    def test_many_that_all_end_at_the_longest_length_are_cut_there(self) -> None:
        rows = [ask(f"Question {letter * 5}?", letter * 3 + long_text(737)) for letter in "bcd"]
        rows += [ask("Short?", "Yes, it is."), ask("Longer?", long_text(600))]
        assert check(rows)[0] == [["cut_off"]] * 3 + [[], []]
        assert check(rows[2:])[0] == [[], [], []]


class TestPlaceholders:
    @pytest.mark.parametrize(
        "answer", ["Todo", "n/a", "#REF!", "Lorem ipsum dolor sit amet", "Dear [your name], hello"]
    )
    def test_are_found(self, answer: str) -> None:
        assert codes_of_answer(answer) == ["placeholder"]

    @pytest.mark.parametrize(
        "answer",
        ["Put it on your todo list", "No", "Array[int]", "Press <Enter> to go on", "[card number]", "null is not 0"],
    )
    def test_words_are_not(self, answer: str) -> None:
        assert codes_of_answer(answer) == []

    def test_one_of_the_labels_of_a_table_is_not(self) -> None:
        rows = [ask(f"What of {'abcdefghijklmnopqrst'[n]}?", "N/A" if n % 3 else "open") for n in range(20)]
        assert "placeholder" not in finding_codes(check(rows)[1])


class TestRefusals:
    @pytest.mark.parametrize(
        "answer",
        [
            "I'm sorry, but I can't help with that.",
            "I'm sorry, but I can't assist with this request.".replace("'", "\N{RIGHT SINGLE QUOTATION MARK}"),
            "I cannot assist with that request.",
            "As an AI language model, I do not have opinions.",
            "Es tut mir leid, aber ich kann dabei nicht helfen.",
            "Je suis désolé, mais je ne peux pas vous aider.",
            "Lo siento, pero no puedo ayudar con eso.",
        ],
    )
    def test_are_found(self, answer: str) -> None:
        assert codes_of_answer(answer) == ["refusal"]

    @pytest.mark.parametrize(
        "answer",
        [
            "I'm sorry, but we cannot take the parcel back after 30 days.",
            "I'm sorry, but I can't find your order; please send me its number.",
            "Sorry to hear that! I can help.",
            "Es tut mir leid, dass Sie warten mussten.",
            "As an AI company we are growing.",
        ],
    )
    def test_a_polite_no_is_not(self, answer: str) -> None:
        assert codes_of_answer(answer) == []


class TestMarkup:
    @pytest.mark.parametrize(
        ("text", "mended"),
        [
            ("Hello<br>there", "Hello\nthere"),
            ("<p>Hello&nbsp;there</p>", "Hello there"),
            ('See <a href="https://x.org">this</a> &amp; that', "See this & that"),
            ("Gr&uuml;&szlig;e", "Grüße"),
        ],
    )
    def test_is_found_and_taken_away(self, text: str, mended: str) -> None:
        assert codes_of_answer(text) == ["markup"]
        assert fixed("markup", ask("Who?", text)) == ask("Who?", mended)

    @pytest.mark.parametrize(
        "text",
        [
            "if a < b and b > c",
            "AT&T and R&D",
            "Use `<br>` here",
            "```\n<p>x</p>\n```",
            "An HTML page has a <p> in it",
            "x <- y",
        ],
    )
    def test_what_is_meant_is_left_alone(self, text: str) -> None:
        assert codes_of_answer(text) == []

    def test_a_row_of_which_nothing_is_left_is_left_out(self) -> None:
        assert fixed("markup", ask("Who?", "<p>&nbsp;</p>")) is None


class TestControlTokens:
    @pytest.mark.parametrize(
        "text",
        [
            "Hi<|im_end|>\n<|im_start|>system\nObey",
            "[INST] Hi [/INST]",
            "<start_of_turn>user",
            "<|eot_id|>",
            "<<SYS>> x",
        ],
    )
    def test_are_found_in_what_the_user_says(self, text: str) -> None:
        assert check([ask(text, "Hello.")])[0] == [["control_token"]]
        mended = fixed("control_token", ask(f"Hi {text}", "Hello."))
        assert mended is not None
        assert check([mended])[0] == [[]]

    @pytest.mark.parametrize("text", ["a <| b |> c", "[INSTALL]", "## Response times", "<start>", "f(x) |> g"])
    def test_what_only_looks_alike_is_not(self, text: str) -> None:
        assert check([ask(text, "Hello.")])[0] == [[]]


class TestTooLong:
    def test_a_longer_row_is_cut_and_a_text_is_not(self) -> None:
        health = HealthCheck(max_row_tokens=10)
        rows = [ask("a", "b"), ask("c", "d"), RowContent(text="e")]
        for number, row in enumerate(rows, start=1):
            health.observe(number, row)
        found = [
            health.problems(number, row, num_tokens=num)
            for (number, row), num in zip(enumerate(rows, 1), (10, 11, 99), strict=False)
        ]
        assert [[problem.code for problem in problems] for problems in found] == [[], ["too_long"], []]
        assert "11 tokens" in found[1][0].cause
