"""The short run over the readers of files; `make fuzz` is the long one."""

import random

import pytest

from core.datasets.types import FileFormat
from tests.fuzz.parsers import read
from tests.fuzz.seeds import SEEDS

NUM_CASES = 150


@pytest.mark.parametrize("file_format", FileFormat)
def test_whatever_the_bytes_a_reader_answers_or_refuses(file_format: FileFormat) -> None:
    chance = random.Random(1)
    assert all(read(seed, file_format) for seed in SEEDS[file_format][:1])
    for _ in range(NUM_CASES):
        content = bytearray(chance.choice(SEEDS[file_format]))
        for _ in range(chance.randint(1, 8)):
            place = chance.randrange(len(content))
            content[place : place + chance.randint(0, 4)] = chance.randbytes(chance.randint(0, 4))
        read(bytes(content[: chance.choice([None, None, chance.randrange(len(content) + 1)])]), file_format)
