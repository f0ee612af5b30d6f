"""Two passes over the file in constant memory per row: the first learns what repeats, the second writes the rows."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import TextIO

from core.datasets.examples import Example, Table
from core.datasets.formats import refusals
from core.datasets.formats.refusals import MIN_ROWS
from core.datasets.formats.registry import open_file
from core.datasets.health import content_digest
from core.datasets.health.check import HealthCheck
from core.datasets.ingest_files import (
    EVENTS_NAME,
    LANDMARK_EVERY_ROWS,
    PARQUET_NAME,
    REPORT_NAME,
    ROWS_NAME,
    SOURCE_NAME,
    SPEC_NAME,
    IngestedRow,
    IngestReport,
    IngestSpec,
    RowCheck,
)
from core.datasets.splits import choose_heldout
from core.datasets.times import Times
from core.datasets.types import MAX_PROBLEMS_SHOWN, Problem, RowContent, RowKind, Split
from core.errors import AppError, Invalid
from core.jobs.exit_codes import ExitCode
from worker.ingest.events import Events
from worker.ingest.parquet import write_parquet
from worker.training.data.chat_format import ChatFormat

_PROGRESS_EVERY_ROWS = 500
_ENOSPC = 28

CountTokens = Callable[[RowContent], "TokenCount"]


def run(run_dir: Path) -> ExitCode:
    """Do the whole job; the exit code says how it went, `events.jsonl` why."""

    def read(events: Events) -> IngestReport:
        return ingest(run_dir, IngestSpec.model_validate_json((run_dir / SPEC_NAME).read_bytes()), events)

    return reported(run_dir, read)


def reported(run_dir: Path, work: Callable[[Events], IngestReport]) -> ExitCode:
    """Do the work and write its report."""
    events = Events(run_dir / EVENTS_NAME)
    try:
        report = work(events)
        write_parquet(run_dir / ROWS_NAME, run_dir / PARQUET_NAME)
        (run_dir / REPORT_NAME).write_text(report.model_dump_json(), encoding="utf-8")
    except AppError as error:
        events.error(error)
        return ExitCode.USER_ERROR
    except MemoryError:
        return ExitCode.OUT_OF_MEMORY
    except OSError as error:
        if error.errno == _ENOSPC:
            return ExitCode.DISK_FULL
        raise
    finally:
        events.close()
    return ExitCode.DONE


def ingest(run_dir: Path, spec: IngestSpec, events: Events) -> IngestReport:
    """Read `file`, write `rows.jsonl`. Raises Invalid if the file holds too little to learn from."""
    source = run_dir / SOURCE_NAME
    events.stage("reading")
    health = HealthCheck(max_row_tokens=spec.max_row_tokens)
    sheet, mapping = (None, None) if spec.mapping is None else spec.mapping.apart()
    with source.open("rb") as stream:
        num_read = 0
        times = Times()
        table = Table(open_file(stream, spec.format, sheet=sheet))
        for example in table.examples(mapping, scratch=run_dir):
            num_read += 1
            if example.written_time is not None:
                times.add(example.written_time)
            if example.problem is None:
                health.observe(example.row, _content(example))
            if num_read % _PROGRESS_EVERY_ROWS == 0:
                # the file's bytes twice over: once to read, once to write
                events.progress(stream.tell(), 2 * source.stat().st_size)
    refuse_too_little(health, num_read, table.kind)
    events.stage("checking")
    writer = Writer(spec, health, table.kind, heldout=choose_heldout(health.counts, health.groups))
    moments = iter(times.moments())
    with source.open("rb") as stream, (run_dir / ROWS_NAME).open("w", encoding="utf-8") as out:
        table = Table(open_file(stream, spec.format, sheet=sheet))
        examples = table.examples(mapping, scratch=run_dir)
        for number, example in enumerate(examples, start=1):
            writer.write(example if example.written_time is None else _dated(example, next(moments)), out)
            if number % _PROGRESS_EVERY_ROWS == 0:
                events.progress(source.stat().st_size + stream.tell(), 2 * source.stat().st_size)
    report = writer.report()
    events.message(f"{report.num_rows:,} examples can be learned from; {report.num_heldout:,} of them are held out.")
    return report


def _dated(example: Example, moment: float) -> Example:
    """With its time as a number, which is none where it could not be read."""
    return replace(example, is_undated=True) if isnan(moment) else replace(example, time=moment)


def _content(example: Example) -> RowContent:
    """Of an example without a fault, which has one."""
    return example.content or RowContent()


def refuse_too_little(health: HealthCheck, num_read: int, kind: RowKind) -> None:
    num_usable = health.num_observed
    if num_read < MIN_ROWS:
        raise refusals.too_few_rows(num_read, kind)
    if num_usable < MIN_ROWS:
        raise refusals.refuse(
            "too_few_rows",
            cause=f"Only {num_usable} of {num_read} rows can be used; a model needs at least {MIN_ROWS}.",
            fix="Check that the right columns are chosen, and mend the rows that are listed as problems.",
        )
    if len(health.counts) == 1:
        raise refusals.refuse(
            "rows_all_alike",
            cause="All rows say the same, so nothing could be measured.",
            fix="Add examples that differ.",
        )


@dataclass(frozen=True, slots=True)
class TokenCount:
    """`total` is what a row costs to learn from, `longest` what the model reads of it at once."""

    total: int
    longest: int


def token_counter(tokenizer_dir: Path) -> CountTokens:
    """Counts as training does; about as it does where this model's template cannot say the row (tools, mostly).

    Another base model may well read such a row, so that it is no fault of the data.
    """
    chat_format = ChatFormat.load(tokenizer_dir)

    def count(content: RowContent) -> TokenCount:
        if content.text is not None:
            num_tokens = len(chat_format.encode_text(content.text))
            return TokenCount(num_tokens, num_tokens)
        try:
            lengths = [
                len(chat_format.tokenize([*content.messages, *answer], tools=content.tools).token_ids)
                for answer in (content.chosen or [], content.rejected)
                if answer is not None
            ]
        except Invalid:
            written = json.dumps(content.dump_content(), ensure_ascii=False)
            lengths = [len(chat_format.encode_text(written))]
        return TokenCount(sum(lengths), max(lengths))

    return count


class Writer:
    """The second pass: each row with its split, tokens and problems, and the sums of all."""

    def __init__(self, spec: RowCheck, health: HealthCheck, kind: RowKind, *, heldout: frozenset[bytes]) -> None:
        """`heldout` are the digests of the contents that are held out."""
        self._kind = kind
        self._count_tokens = None if spec.tokenizer_dir is None else token_counter(Path(spec.tokenizer_dir))
        self._health = health
        self._heldout = heldout
        health.note_split(heldout)
        self._splits: Counter[Split] = Counter()
        self._lengths: list[int] = []
        self._num_tokens = 0
        self._content = hashlib.sha256()
        self._problems: list[Problem] = []
        self._num_problems = 0
        self._num_written = 0
        self._num_dated = 0
        self._landmarks: list[int] = []

    def write(self, example: Example, out: TextIO) -> None:
        self.note(self.checked(example), out)

    def checked(self, example: Example, *, tokens: TokenCount | None = None) -> IngestedRow:
        """The row with its split, tokens and problem; `tokens` where they were counted before."""
        return self._left_out(example) if example.problem is not None else self._usable(example, tokens)

    def note(self, row: IngestedRow, out: TextIO) -> None:
        """Write the row and let it count."""
        if self._num_written % LANDMARK_EVERY_ROWS == 0:
            self._landmarks.append(row.number)
        self._num_written += 1
        self._splits[row.split] += 1
        self._num_dated += row.time is not None and row.split is not Split.LEFT_OUT
        if row.excluded_from is None:
            self._num_problems += len(row.problems)
            self._problems += row.problems[: MAX_PROBLEMS_SHOWN - len(self._problems)]
        out.write(row.model_dump_json() + "\n")

    def report(self) -> IngestReport:
        lengths = sorted(self._lengths)
        num_train, num_heldout = self._splits[Split.TRAIN], self._splits[Split.HELDOUT]
        return IngestReport(
            kind=self._kind,
            num_rows=num_train + num_heldout,
            num_train=num_train,
            num_heldout=num_heldout,
            num_problems=self._num_problems,
            num_tokens=self._num_tokens,
            max_row_tokens=lengths[-1] if lengths else 0,
            p99_row_tokens=lengths[(len(lengths) - 1) * 99 // 100] if lengths else 0,
            content_sha256=self._content.hexdigest(),
            health=self._health.summary(),
            problems=self._problems,
            num_visible=self._num_written,
            num_dated=self._num_dated,
            landmarks=self._landmarks,
        )

    def _left_out(self, example: Example) -> IngestedRow:
        if example.problem is not None:
            self._health.leave_out(example.row, example.problem)
        return IngestedRow(
            number=example.row,
            split=Split.LEFT_OUT,
            num_tokens=None,
            problems=[] if example.problem is None else [example.problem],
            time=example.time,
            **_content(example).dump_content(),
        )

    def _usable(self, example: Example, tokens: TokenCount | None) -> IngestedRow:
        row, content = example.row, _content(example)
        digest = content_digest(content)
        self._content.update(digest)
        if tokens is None and self._count_tokens is not None:
            tokens = self._count_tokens(content)
        if tokens is not None:
            self._num_tokens += tokens.total
            self._lengths.append(tokens.longest)
        problems = self._health.problems(row, content, num_tokens=tokens.longest if tokens else None)
        if example.is_undated:
            problems.append(self._health.undated(row))
        return IngestedRow(
            number=row,
            split=Split.HELDOUT if digest in self._heldout else Split.TRAIN,
            num_tokens=None if tokens is None else tokens.total,
            problems=problems,
            time=example.time,
            **content.dump_content(),
        )
