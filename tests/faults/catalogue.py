"""The drills by number: what goes wrong, and what must be so for the drill to pass.

Times are given in terms of the settings (lease, heartbeat, grace), because drills run with short ones; what a drill
measured is recorded beside it.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Drill:
    fault: str
    criterion: str


DRILLS: Final[dict[int, Drill]] = {
    1: Drill(
        "kill -9 of the trainer in the middle of a step, at random steps",
        "the run resumes; the adapter is bitwise that of the undisturbed run; at most one checkpoint interval redone",
    ),
    2: Drill(
        "kill -9 of supervisor and trainer together",
        "another worker claims within lease + reconcile interval + first retry delay; adapter bitwise equal",
    ),
    3: Drill(
        "kill -9 of the supervisor only, which leaves an orphan trainer",
        "the orphan ends within 3/4 of the lease and never publishes",
    ),
    4: Drill(
        "SIGSTOP of the supervisor for longer than the lease, then SIGCONT",
        "the zombie's writes are fenced off (no row, no object counts); one charge",
    ),
    5: Drill(
        "SIGKILL at every file boundary of the saving of a checkpoint",
        "the incomplete folder is ignored; the run resumes from the checkpoint before; adapter bitwise equal",
    ),
    6: Drill(
        "a bit flipped in, or the end cut off, each file of the newest checkpoint",
        "noticed by sha256; the checkpoint before is used, and an event says so; adapter bitwise equal",
    ),
    7: Drill(
        "SIGKILL of Redis while jobs run",
        "running jobs are unaffected; submits are accepted; the backlog is claimed within 10 reconcile intervals",
    ),
    8: Drill("FLUSHALL of Redis with 50 jobs queued", "all 50 run exactly once"),
    9: Drill(
        "Redis as a black hole (no RST)",
        "API p99 < 2 s; jobs run on by polling; the doorbell works again within 60 s after it heals",
    ),
    10: Drill("Redis out of memory (maxmemory 2 MB, noeviction)", "submits are accepted and run; an alert is raised"),
    11: Drill("the same doorbell 100 times to 4 workers", "one lease, the rest are no-ops of < 50 ms each"),
    12: Drill("redelivery of a message while its job runs", "still one execution"),
    13: Drill(
        "restart of Postgres (fast) during commits, 20 times",
        "no accepted submit is lost; an unknown outcome is resolved by a retry with the same Idempotency-Key; a run "
        "that is trained meanwhile (lease 30 s) keeps its one attempt",
    ),
    14: Drill(
        "kill -9 of Postgres, and its recovery",
        "as 13; meanwhile the API answers 503 with Retry-After, never 500, never a trace",
    ),
    15: Drill(
        "all connections of Postgres taken (20 by the role's limit, which takes the place of `max_connections`)",
        "503 in < 5 s; works again without a restart once connections are free",
    ),
    16: Drill("connection reset after COMMIT is sent, before its reply", "exactly one job"),
    17: Drill("a deadlock and a serialization failure", "retried at most 3 times, invisible to the client"),
    18: Drill(
        "the lease row stolen by hand", "the old worker stops within 5/4 of its heartbeat + 1 s; no write of its"
    ),
    20: Drill(
        "S3 away while an adapter is published, for 10 leases (30 s instead of 10 min)",
        "nothing is trained again; publishing goes on when S3 is back; meanwhile the stage is `publishing`",
    ),
    21: Drill(
        "a reset in the middle of a multipart upload; kill -9 of the worker in the middle of one",
        "no partial adapter is visible; the janitor aborts the upload",
    ),
    22: Drill("S3 answers a GET with damaged bytes", "noticed by sha256; tried again; closed if it stays so"),
    23: Drill("two attempts publish at once", "exactly one manifest (`If-None-Match: *`)"),
    24: Drill(
        "the disk is full while a checkpoint is written, and while a file is uploaded",
        "the run fails or waits as `disk_full`, the checkpoint before is whole; the API answers 507 or 413, no crash",
    ),
    25: Drill(
        "the clock of a worker, then of the API, jumps by an hour",
        "leases are judged by the database's clock: none expires early; requests stay signed within tolerance",
    ),
    26: Drill(
        "the trainer needs more memory than it may have",
        "one retry with half the micro-batch and the same effective batch; then class `out_of_memory` with advice",
    ),
    28: Drill("a trainer that hangs for ever", "the watchdog (no progress) ends it and classifies it"),
    29: Drill(
        "cancel at every stage, 100 times",
        "terminal within 35 s; never both cancelled and charged as a success",
    ),
    31: Drill(
        "every route, asked by everybody who may not: no key, dead keys and sessions, other workspaces, lesser roles, "
        "other sites' pages; with the ids of every kind of thing",
        "401, 403 or 404; the same words for a real id as for none; nothing changed; and past the api, row-level "
        "security shows no row",
    ),
    32: Drill(
        "Schemathesis over the whole API: all checks, chains of links; 20,000 cases by `make fuzz`, a short run here",
        "no 5xx, no answer that is not as described, no leaked trace",
    ),
    33: Drill(
        "every field of every body with fields it does not have, values of other types, and values at the limits",
        "unknown fields and other types are refused by name; protected columns unchanged; no 5xx",
    ),
    34: Drill(
        "bombs: gzip of 10 GB of zeros, packed files in packed files, a Parquet file whose counts lie, workbooks of a "
        "billion laughs, of a cell far away and of a text of 2 GB, links and ways out of an archive",
        "4xx within 10 s; the reader's memory <= 1 GiB, the API's grows by < 50 MB; disk < twice the cap; honest p99 "
        "< 500 ms",
    ),
    35: Drill(
        "texts: one line of 120 MB, ten million lines, JSON nested 100,000 deep, broken UTF-8, 100 MB of `[`",
        "refused with the line within 10 s, memory as in 34; honest p99 < 500 ms",
    ),
    36: Drill(
        "500 clients that send heads and bodies byte by byte, in chunks without end, or nothing; lengths that lie",
        "all are shed within the time they are given; honest clients' p99 stays < 1 s; memory is bounded",
    ),
    37: Drill(
        "10,000 questions for lists of a million jobs over 500 connections, deep cursors, beside 50 viewers of a run",
        "p99 < 1 s; no 5xx; memory of the api grows by less than 10 % in 10 minutes; every plan uses an index",
    ),
    38: Drill(
        "a corpus of addresses that lead inside (private, mapped, decimal, octal, unicode dots, `@`, metadata), name "
        "servers that change their mind, redirects to 127.0.0.1",
        "a listener on 127.0.0.1 sees no connection; each address is refused with a reason",
    ),
    39: Drill(
        "200 creates at once with one key, a key with another body, a key after a day; pages of other sites; a planted "
        "session; a webhook that is sent again, or signed wrongly",
        "one job; 422; a new job; 403; a new session; the client's library refuses",
    ),
    41: Drill(
        "kill -9 of workers in the middle of webhook deliveries, to a receiver that is slow and fails",
        "each event arrives at least once, always under its own `webhook-id`; the outbox is drained",
    ),
}
