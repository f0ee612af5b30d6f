"""`python -m core.datasets.reading REQUEST <file >answer`: the first look at a file, by a process that may do little.

The request is JSON: `filename`, `mapping`, `portion`, `reads_all`, `parent_pid`, `limits`. The answer is one line of
JSON: `inspection`, or
`error` with the fields of `Invalid`. Exit codes: 0 answered; 4 the memory did not suffice; anything else is a fault of
ours, or a signal, and there is no answer.
"""

import errno
import json
import sys
from typing import Any, BinaryIO, Final

from core.datasets import inspection
from core.datasets.formats import registry
from core.datasets.reading.confinement import Limits, confine, die_with
from core.datasets.types import Mapping
from core.errors import Invalid

OUT_OF_MEMORY: Final = 4
TOO_LARGE: Final = 5


def main(request: dict[str, Any], stream: BinaryIO) -> int:
    die_with(request["parent_pid"])
    confine(Limits(**request["limits"]))
    answer: dict[str, Any]
    try:
        file, file_format = registry.told_apart(stream, request["filename"])
        mapping = request["mapping"]
        found = inspection.inspect(
            file,
            file_format,
            mapping=None if mapping is None else Mapping.model_validate(mapping),
            portion=inspection.Portion(**request["portion"]),
            reads_all=request["reads_all"],
        )
        answer = {"inspection": found.model_dump(mode="json")}
    except Invalid as error:
        told = {"message": error.message, "code": error.error_code, "param": error.param, "details": error.details}
        answer = {"error": told}
    except MemoryError:
        return OUT_OF_MEMORY
    except OSError as error:
        if error.errno in {errno.EFBIG, errno.ENOSPC}:
            return TOO_LARGE
        raise
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.stdin.buffer))
