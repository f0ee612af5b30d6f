"""`python -m tests.fuzz.parsers FORMAT SECONDS`: bytes that atheris bends, read as one format.

Whatever they are, a reader answers or raises Invalid; anything else is a finding, with the bytes that show it.
"""

import importlib
import io
import sys

from core.datasets.types import FileFormat
from core.errors import Invalid


def read(content: bytes, file_format: FileFormat) -> bool:
    """Whether they could be used. Raises anything but Invalid for a finding."""
    # not above: what is loaded before atheris looks at it tells it nothing of where the bytes lead
    from core.datasets.inspection import inspect

    try:
        inspect(io.BytesIO(content), file_format)
    except Invalid:
        return False
    return True


def main(name: str, seconds: str, seed: str = "1") -> None:
    import atheris

    file_format = FileFormat(name)
    with atheris.instrument_imports(include=["core.datasets"]):
        from core.datasets.formats.registry import FORMATS

        importlib.import_module("core.datasets.inspection")
        importlib.import_module(f"core.datasets.formats.{FORMATS[file_format].module}")
    from tests.fuzz.seeds import SEEDS

    pool = SEEDS[file_format]

    def one(data: bytes) -> None:
        chosen = atheris.FuzzedDataProvider(data)
        base = bytearray(pool[chosen.ConsumeIntInRange(0, len(pool) - 1)])
        # most bytes stay, so that what is bent is past the first check
        for _ in range(chosen.ConsumeIntInRange(0, 8)):
            place = chosen.ConsumeIntInRange(0, max(0, len(base) - 1))
            base[place : place + chosen.ConsumeIntInRange(0, 4)] = chosen.ConsumeBytes(4)
        read(bytes(base), file_format)

    limits = [f"-max_total_time={seconds}", f"-seed={seed}", "-timeout=10", "-rss_limit_mb=2048"]
    atheris.Setup([sys.argv[0], *limits], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
