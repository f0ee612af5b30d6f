"""Files to measure with: the same bytes each time, of rows of about a kilobyte, five of which say nothing."""

import csv
import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".bench" / "files"
NUM_EMPTY = 5
# no more than a file may have in a gigabyte
_MEAN_WORDS = 165
_ROWS_PER_BLOCK = 10_000
_WORDS = sorted({word for word in (ROOT / "docs" / "data.md").read_text().split() if word.isalpha()})
_ACCENTED = ("été", "Größe", "mañana")


def sentence(chance: random.Random, num_words: int) -> str:
    words = chance.choices(_WORDS, k=num_words)
    if chance.random() < 0.1:  # noqa: PLR2004 - one in ten is not plain ASCII
        words[0] = chance.choice(_ACCENTED)
    return " ".join(words).capitalize() + "."


def pairs(chance: random.Random) -> Iterator[tuple[str, str]]:
    """Questions with answers, a third of them of several lines or with quotation marks."""
    while True:
        num_words = max(60, round(chance.gauss(_MEAN_WORDS, 30)))
        question = sentence(chance, num_words // 4)
        answer = " ".join(sentence(chance, 15) for _ in range(num_words * 3 // 4 // 15))
        if chance.random() < 0.33:  # noqa: PLR2004 - a third
            answer = answer.replace(". ", '.\n"', 1).replace(". ", '."\n', 1)
        yield question, answer


def jsonl(num_bytes: int) -> Path:
    """Conversations of a system text, a question and an answer."""

    def row(_: int, question: str, answer: str) -> str:
        texts = (("system", "You answer our customers."), ("user", question), ("assistant", answer))
        messages = [{"role": role, "content": content} for role, content in texts]
        return json.dumps({"messages": messages}, ensure_ascii=False) + "\n"

    return _file(f"chat-{num_bytes}.jsonl", num_bytes, "", row)


def table(num_bytes: int) -> Path:
    def row(number: int, question: str, answer: str) -> str:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow([number, question, answer])
        return line.getvalue()

    return _file(f"table-{num_bytes}.csv", num_bytes, "id,question,answer\n", row)


def _file(name: str, num_bytes: int, head: str, row: Callable[[int, str, str], str]) -> Path:
    path = FOLDER / name
    if path.exists():
        return path
    FOLDER.mkdir(parents=True, exist_ok=True)
    given = pairs(random.Random(7))
    block = "".join(row(number, *next(given)) for number in range(_ROWS_PER_BLOCK)).encode()
    empty = "".join(row(number, "Why?", " ") for number in range(NUM_EMPTY)).encode()
    partial = path.with_suffix(".partial")
    with partial.open("wb") as out:
        out.write(head.encode())
        num_blocks = max(1, num_bytes // len(block))
        for number in range(num_blocks):
            out.write(block)
            if number == num_blocks // 2:
                out.write(empty)
    partial.rename(path)
    return path


def training_rows(num_bytes: int) -> Path:
    """The same conversations as a run's folder has them."""
    path = FOLDER / f"rows-{num_bytes}.jsonl"
    if not path.exists():
        partial = path.with_suffix(".partial")
        with jsonl(num_bytes).open() as lines, partial.open("w") as out:
            for number, line in enumerate(lines):
                if "Why?" not in line:
                    out.write(json.dumps({"number": number, **json.loads(line)}) + "\n")
        partial.rename(path)
    return path
