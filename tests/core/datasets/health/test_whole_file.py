"""What can only be said when all rows are known."""

from random import Random

from core.datasets.health.check import HealthCheck
from core.datasets.rows import question_and_answer as ask
from core.datasets.splits import choose_heldout
from core.datasets.types import RowContent, Severity
from tests.core.datasets.health.checked import check, finding_codes

WORDS = ["garden", "desk", "invoice", "holiday", "letter", "parking", "doctor", "window", "paper", "train"]
WORDS += ["evening", "coffee", "market", "river", "winter"]


def sentences(count: int, *, seed: int = 1, num_words: int = 14) -> list[str]:
    random = Random(seed)
    return [" ".join(random.choice(WORDS) for _ in range(num_words)) + "." for _ in range(count)]


class TestNearDuplicates:
    TEXT = "Whoever works on a holiday chooses another day within the month and tells the desk before it begins."

    def test_are_found_whatever_the_case_and_the_marks(self) -> None:
        rows = [ask("When may I leave?", self.TEXT), ask("When may i leave", self.TEXT.upper().replace(".", "!"))]
        rows += [ask(f"About {text[:20]}?", text) for text in sentences(10)]
        codes, health = check(rows)
        assert codes == [[], ["near_duplicate"], *[[] for _ in range(10)]]
        [finding] = health.findings
        assert (finding.rows, finding.severity) == ([2], Severity.WARNING)

    def test_other_digits_make_another_row(self) -> None:
        [long] = sentences(1, num_words=80)
        rows = [RowContent(text=f"{long} It costs {price} and no more.") for price in ("41", "42", "forty one")]
        assert check(rows)[0] == [[], [], []]
        alike = [RowContent(text=f"{long} It costs {price} and no more.") for price in ("41", "just 41")]
        others = [RowContent(text=text) for text in sentences(10, seed=2)]
        assert check([*alike, *others])[0] == [[], ["near_duplicate"], *[[] for _ in others]]

    def test_an_instruction_before_every_question_is_no_likeness(self) -> None:
        instruction = "Classify the ticket below as urgent or not. Answer with one word, in small letters. Ticket: "
        rows = [ask(instruction + word, "urgent") for word in WORDS]
        assert check(rows)[0] == [[] for _ in rows]

    def test_stand_on_one_side_of_the_split(self) -> None:
        texts = sentences(60, num_words=40)
        rows = [RowContent(text=text) for text in texts] + [RowContent(text=text[:-1] + "!") for text in texts[:30]]
        for seed in range(5):
            Random(seed).shuffle(rows)
            health = HealthCheck(max_row_tokens=100)
            for number, row in enumerate(rows, start=1):
                health.observe(number, row)
            heldout = choose_heldout(health.counts, health.groups)
            health.note_split(heldout)
            assert len(health.groups) == 60
            sides = {group: digest in heldout for digest, group in health.groups.items()}
            assert all(sides[group] is (digest in heldout) for digest, group in health.groups.items())
            assert 5 <= len(heldout) <= 18
            problems = [problem.code for number, row in enumerate(rows, 1) for problem in health.problems(number, row)]
            assert problems == ["near_duplicate"] * 30
            if seed == 0:
                first = heldout
            assert heldout == first

    def test_that_had_to_be_parted_are_reported_as_leakage(self) -> None:
        rows = [
            RowContent(text=f"{mark} {self.TEXT} {mark}")
            for mark in ("", "!", "?", " …", ";", ":", " -", "!!", "??", "~", "*", "#")
        ]
        _, health = check(rows)
        assert [finding.count for finding in health.findings if finding.code == "leakage"] == [1]


class TestContradictions:
    def test_are_found_though_the_marks_differ(self) -> None:
        codes, _ = check([ask("Are you open today?", "Yes"), ask("are you open, today", "No"), ask("Who?", "Me")])
        assert codes == [["contradiction"], ["contradiction"], []]

    def test_marks_that_are_all_the_difference_are_left(self) -> None:
        assert (
            check([ask("What is C++?", "Older"), ask("What is C#?", "Newer"), ask("What is C?", "Oldest")])[0]
            == [[]] * 3
        )


class TestImbalance:
    def rows(self, majority: int, minority: int) -> list[RowContent]:
        answers = ["positive"] * majority + ["negative"] * minority
        return [ask(text, answer) for text, answer in zip(sentences(len(answers)), answers, strict=True)]

    def test_is_told_with_its_share(self) -> None:
        [finding] = check(self.rows(95, 5))[1].findings
        assert (finding.code, finding.sentence) == ("imbalance", "95% of the answers are “positive”.")
        assert not finding.can_be_listed

    def test_balanced_labels_and_free_answers_have_none(self) -> None:
        assert finding_codes(check(self.rows(60, 40))[1]) == set()
        assert finding_codes(check([ask(text, text[::-1]) for text in sentences(60)])[1]) == set()


class TestBoilerplate:
    def test_the_same_end_of_many_answers_is_told(self) -> None:
        rows = [ask(text[:30], f"{text}\nKind regards, your friendly team at the town hall") for text in sentences(30)]
        [finding] = check(rows)[1].findings
        assert finding.code == "boilerplate"
        assert finding.sentence.startswith("100% of the answers end in the same words: “…")

    def test_other_ends_are_not(self) -> None:
        assert finding_codes(check([ask(text[:30], f"{text} {text[::-1]}") for text in sentences(30)])[1]) == set()


class TestLanguages:
    ENGLISH = "The office is closed on public holidays, please come back on the next working day about {}."
    GERMAN = "Das Büro ist an Feiertagen geschlossen, bitte kommen Sie am nächsten Werktag wieder, wegen {}."

    def test_shares_are_told_and_a_few_in_another_language_are_noted(self) -> None:
        rows = [
            ask(f"{word} and {other}?", self.ENGLISH.format(f"{word} and {other} {word}"))
            for word in WORDS
            for other in WORDS[:3]
        ]
        rows += [ask(f"{word}?", self.GERMAN.format(word)) for word in WORDS[:4]]
        _, health = check(rows)
        assert [(share.label, share.count) for share in health.languages] == [("English", 45), ("German", 4)]
        [finding] = [finding for finding in health.findings if finding.code == "language_mix"]
        assert (finding.count, finding.rows) == (4, [46, 47, 48, 49])
        assert "German 4" in finding.sentence

    def test_one_language_is_no_mix(self) -> None:
        assert "language_mix" not in finding_codes(check([ask(word, self.ENGLISH.format(word)) for word in WORDS])[1])


class TestLengths:
    def test_one_far_longer_than_all_is_told_and_the_histogram_has_every_answer(self) -> None:
        rows = [ask(text[:30], text) for text in sentences(80)]
        codes, health = check([*rows, ask("All of it?", " ".join(sentences(60, seed=2)))])
        assert codes[-1] == ["length_outlier"]
        assert not any(codes[:-1])
        assert sum(share.count for share in health.answer_lengths) == 81
        assert health.answer_lengths[-1].count == 1

    def test_lengths_that_differ_evenly_have_no_outlier(self) -> None:
        rows = [
            ask(f"{word} {n}?", " ".join(sentences(1, seed=n, num_words=n * 20)))
            for n in range(1, 30)
            for word in WORDS[:2]
        ]
        assert "length_outlier" not in finding_codes(check(rows)[1])
