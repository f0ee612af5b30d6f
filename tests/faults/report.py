"""`python -m tests.faults.report`: the table of `docs/reliability.md`, from what the drills recorded."""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.faults.catalogue import DRILLS
from tests.faults.recording import RESULTS

_MANY_CASES = 12
DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
_BEGIN, _END = "<!-- drills: written by `make drills` -->", "<!-- end of drills -->"
_SOAK_BEGIN, _SOAK_END = "<!-- soaks: written by `make soak` -->", "<!-- end of soaks -->"


def table(recorded: dict[str, list[dict[str, Any]]]) -> str:
    lines = [
        "| # | fault | pass criterion | what was run | times | result | figures |",
        "|---|---|---|---|---|---|---|",
    ]
    for number, drill in DRILLS.items():
        tests = sorted(recorded.get(str(number), []), key=lambda one: str(one["test"]))
        cells = [
            str(number),
            drill.fault,
            drill.criterion,
            "<br>".join(_sentences([str(one["test"]) for one in tests])) or "not run yet",
            str(sum(one["times"] for one in tests)),
            _result(tests),
            "<br>".join(_figures(tests)) or "-",
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def soak_table(soaks: list[dict[str, Any]]) -> str:
    lines = [
        "| seed | minutes | jobs | faults set | succeeded | cancelled | failed | attempts | result |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in soaks:
        names = ("seed", "minutes", "jobs", "faults", "succeeded", "cancelled", "failed", "attempts", "result")
        lines.append("| " + " | ".join(str(one[name]) for name in names) + " |")
    return "\n".join(lines) if soaks else "None yet."


def render(document: str, known: dict[str, Any]) -> str:
    """The document with its tables replaced."""
    document = _between(document, _BEGIN, _END, table(known.get("drills", {})))
    return _between(document, _SOAK_BEGIN, _SOAK_END, soak_table(known.get("soaks", [])))


def main() -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    DOCUMENT.write_text(render(DOCUMENT.read_text(), known))
    outcomes = [one["outcome"] for tests in known.get("drills", {}).values() for one in tests]
    print(f"{DOCUMENT.name}: {outcomes.count('passed')} of {len(outcomes)} tests of drills passed")  # noqa: T201


def _between(document: str, begin: str, end: str, content: str) -> str:
    before, _, rest = document.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content}\n{end}{after}"


def _sentences(tests: list[str]) -> list[str]:
    """Of a test with very many cases only their number."""
    found = []
    for name, cases in groupby(tests, key=lambda test: test.partition("[")[0]):
        of_one = list(cases)
        is_long = len(of_one) > _MANY_CASES
        found += [f"{_sentence(name)} ({len(of_one)} cases)"] if is_long else [_sentence(one) for one in of_one]
    return found


def _sentence(test: str) -> str:
    name, _, case = test.removeprefix("test_").partition("[")
    words = name.replace("_", " ")
    return words[0].upper() + words[1:] + (f" ({case.removesuffix(']')})" if case else "")


def _result(tests: list[dict[str, Any]]) -> str:
    if not tests:
        return "-"
    failed = [one for one in tests if one["outcome"] == "failed"]
    skipped = [one for one in tests if one["outcome"] == "skipped"]
    if failed:
        return f"**failed** ({len(failed)} of {len(tests)})"
    if skipped:
        reasons = "; ".join(sorted({one["reason"] for one in skipped}))
        return f"passed, {len(skipped)} skipped: {reasons}" if len(skipped) < len(tests) else f"skipped: {reasons}"
    return "passed"


def _figures(tests: list[dict[str, Any]]) -> list[str]:
    """The worst of each figure over the tests of a drill."""
    worst: dict[str, float] = {}
    for one in tests:
        for name, value in one["figures"].items():
            worst[name] = max(value, worst.get(name, value))
    return [f"`{name}` {_short(value)}" for name, value in sorted(worst.items())]


def _short(value: float) -> str:
    return f"{value:.3g}"


if __name__ == "__main__":
    main()
