"""A version's rows, changed: two passes as over a file, the first to learn what repeats, the second to write."""

from collections.abc import Callable, Iterator
from pathlib import Path

from core.datasets import rows
from core.datasets.changes import DeriveSpec, Edits, resplit_of
from core.datasets.examples import Example
from core.datasets.health import content_digest
from core.datasets.health.check import HealthCheck
from core.datasets.health.dates import DATE_UNREADABLE
from core.datasets.ingest_files import BASE_NAME, CHANGED_NAME, ROWS_NAME, SPEC_NAME, IngestedRow, IngestReport
from core.datasets.resplit import Sides
from core.datasets.types import Problem, RowKind, Severity, Split
from core.jobs.exit_codes import ExitCode
from worker.ingest.events import Events
from worker.ingest.run import TokenCount, Writer, refuse_too_little, reported

_PROGRESS_EVERY_ROWS = 2000


def run(run_dir: Path) -> ExitCode:
    """Do the whole job; the exit code says how it went, `events.jsonl` why."""

    def change(events: Events) -> IngestReport:
        return derive(run_dir, DeriveSpec.model_validate_json((run_dir / SPEC_NAME).read_bytes()), events)

    return reported(run_dir, change)


def derive(run_dir: Path, spec: DeriveSpec, events: Events) -> IngestReport:
    """Read `base.jsonl`, write `rows.jsonl` and `changed.jsonl`. Raises Invalid if too little is left to learn from."""
    events.stage("reading")
    progress = _progress(events, 2 * spec.num_rows)
    edits, sides = Edits(spec.changes), Sides(resplit_of(spec.changes))
    health = HealthCheck(max_row_tokens=spec.max_row_tokens)
    num_read = 0
    heldout_before: set[bytes] = set()
    for before in _rows(run_dir):
        num_read += 1
        row = edits.apply(before)
        if row.excluded_from is None and _fault(row, before) is None:
            health.observe(row.number, row)
            sides.add(row, is_known=_holds_the_same(row, before))
            if before.split is Split.HELDOUT:
                heldout_before.add(content_digest(before))
        progress(num_read)
    if not spec.keeps_all:
        refuse_too_little(health, num_read, spec.kind)
    events.stage("checking")
    heldout = frozenset(heldout_before) if spec.keeps_all else sides.heldout(health.counts)
    writer = Writer(spec, health, spec.kind, heldout=heldout)
    num_changed = 0
    with (run_dir / ROWS_NAME).open("w", encoding="utf-8") as out, (run_dir / CHANGED_NAME).open("w") as changed:
        for number, before in enumerate(_rows(run_dir), start=1):
            row = _checked(writer, edits.apply(before), before, spec.kind)
            writer.note(row, out)
            if row != before:
                num_changed += 1
                changed.write(row.model_dump_json() + "\n")
            progress(num_read + number)
    events.message(f"{num_changed:,} examples were changed.")
    return writer.report()


def _checked(writer: Writer, row: IngestedRow, before: IngestedRow, kind: RowKind) -> IngestedRow:
    """The row with what it is worth now. One that is excluded keeps what was found in it, and counts for nothing."""
    if row.excluded_from is not None:
        return row
    # which only the file can tell
    is_undated = any(problem.code == DATE_UNREADABLE.code for problem in before.problems)
    example = Example(row.number, row, _fault(row, before), time=row.time, is_undated=is_undated)
    tokens = None
    if row.num_tokens is not None and kind is not RowKind.PREFERENCE:
        tokens = TokenCount(row.num_tokens, row.num_tokens)
    checked = writer.checked(example, tokens=tokens)
    return checked.model_copy(update={"is_edited": row.is_edited, "tags": row.tags})


def _fault(row: IngestedRow, before: IngestedRow) -> Problem | None:
    """Why the row is left out: what the reader of the file found, which only an edit can mend, or what it holds now."""
    if not _holds_the_same(row, before):
        return rows.fault_of(row.number, row)
    return next((problem for problem in before.problems if problem.severity is Severity.ERROR), None)


def _holds_the_same(row: IngestedRow, before: IngestedRow) -> bool:
    return row is before or row.dump_content() == before.dump_content()


def _rows(run_dir: Path) -> Iterator[IngestedRow]:
    with (run_dir / BASE_NAME).open("rb") as lines:
        for line in lines:
            yield IngestedRow.model_validate_json(line)


def _progress(events: Events, total: int) -> Callable[[int], None]:
    def tell(step: int) -> None:
        if step % _PROGRESS_EVERY_ROWS == 0:
            events.progress(step, total)

    return tell
