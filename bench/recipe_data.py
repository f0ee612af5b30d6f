"""Three real data sets for `make bench-recipes`, taken from packages when the bench runs; none of it is kept here.

sentiment  sentences of product reviews and what more than 20 readers thought of them (vaderSentiment 3.3.2, MIT; the
           sentences are quoted from reviews; the cut at +-0.5 into three classes is ours)
questions  questions on general knowledge and on code, with answers (chatterbot-corpus 1.3.3, BSD); repeated ones once
banking    titles of a fictional bank's articles for its staff, with the articles (inspect-evals 0.26.0, MIT)
"""

import gzip
import io
import json
import random
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml
from train_rows import Row

from worker.training.data.chat_format import ChatFormat

NAMES = ("sentiment", "questions", "banking")
_SENTIMENT = "vaderSentiment==3.3.2"
_QUESTIONS = "chatterbot-corpus==1.3.3"
_BANKING = "inspect-evals==0.26.0"
_CLEAR = 0.5
_MAX_ROW_TOKENS = 256
_TEST_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Dataset:
    """`test` is seen by nobody but the judge; what a contestant measures itself with comes out of `train`."""

    train: list[Row]
    test: list[Row]


def load(name: str, folder: Path, *, chat_format: ChatFormat, max_tokens: int, seed: int) -> Dataset:
    """Rows in the order of `seed`: the first for the judge, as many others as `max_tokens` are enough for."""
    read: dict[str, Callable[[Path], list[tuple[str, str]]]] = {
        "sentiment": _sentiment,
        "questions": _questions,
        "banking": _banking,
    }
    pairs = read[name](folder)
    random.Random(f"{name}/{seed}").shuffle(pairs)
    rows = [row for row in (_row(chat_format, *pair) for pair in pairs) if row.num_tokens <= _MAX_ROW_TOKENS]
    test = _until(rows, int(max_tokens * _TEST_SHARE))
    train = _until(rows[len(test) :], max_tokens)
    if not test or len(train) <= 1:
        raise ValueError(f"{max_tokens} tokens are too few for rows of {name}.")
    return Dataset(train=train, test=test)


def _row(chat_format: ChatFormat, question: str, answer: str) -> Row:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    tokens = chat_format.tokenize(messages)
    num_trained = sum(weight > 0 for weight in tokens.weights)
    return Row(messages, num_tokens=len(tokens.token_ids), num_trained=num_trained)


def _until(rows: list[Row], max_tokens: int) -> list[Row]:
    found, num_tokens = [], 0
    for row in rows:
        num_tokens += row.num_tokens
        if num_tokens > max_tokens:
            break
        found.append(row)
    return found


def _sentiment(folder: Path) -> list[tuple[str, str]]:
    inner = "additional_resources/hutto_ICWSM_2014.tar.gz"
    with tarfile.open(_fetched(folder, _SENTIMENT, is_source=True)) as outer:
        packed = outer.extractfile(f"vaderSentiment-3.3.2/{inner}")
        assert packed is not None  # noqa: S101 - the version is pinned
        with tarfile.open(fileobj=io.BytesIO(packed.read())) as archive:
            ratings = archive.extractfile("hutto_ICWSM_2014/amazonReviewSnippets_GroundTruth.txt")
            assert ratings is not None  # noqa: S101
            lines = ratings.read().decode("utf-8", "replace").splitlines()
    rows = [line.split("\t") for line in lines if line.count("\t") == 2]  # noqa: PLR2004 - id, rating, text
    return [
        (f"Is this review positive, neutral or negative?\n\n{text}", _class(float(rating))) for _, rating, text in rows
    ]


def _class(rating: float) -> str:
    if rating >= _CLEAR:
        return "positive"
    return "negative" if rating <= -_CLEAR else "neutral"


def _questions(folder: Path) -> list[tuple[str, str]]:
    with zipfile.ZipFile(_fetched(folder, _QUESTIONS)) as wheel:
        texts = [wheel.read(f"chatterbot_corpus/data/english/{name}.yml") for name in ("trivia", "coding")]
    pairs: dict[str, str] = {}
    for text in texts:
        for question, answer, *_ in yaml.safe_load(text)["conversations"]:
            pairs.setdefault(str(question).strip(), str(answer).strip())
    return list(pairs.items())


def _banking(folder: Path) -> list[tuple[str, str]]:
    with zipfile.ZipFile(_fetched(folder, _BANKING)) as wheel:
        packed = wheel.read("inspect_evals/tau2/data/domains/banking_knowledge/documents.json.gz")
    return [(document["title"], document["content"]) for document in json.loads(gzip.decompress(packed))]


def _fetched(folder: Path, requirement: str, *, is_source: bool = False) -> Path:
    """The package's file, downloaded once."""
    place = folder / requirement
    if not place.exists():
        building = place.with_name(f".{requirement}")
        argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download", "--no-deps"]
        argv += ["--no-binary=:all:"] if is_source else []
        subprocess.run([*argv, "--dest", str(building), requirement], check=True)  # noqa: S603 - a pinned package
        building.rename(place)
    (found,) = place.iterdir()
    return found
