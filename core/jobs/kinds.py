"""The kinds of jobs and the queue that each waits in. `docs/jobs.md` lists what else a new kind needs."""

from enum import StrEnum
from typing import Final


class JobKind(StrEnum):
    FILE_IMPORT = "file.import"
    DATASET_INGEST = "dataset.ingest"
    DATASET_DERIVE = "dataset.derive"
    PERSON_ERASURE = "person.erasure"
    MODEL_EXPORT = "model.export"
    MODEL_IMPORT = "model.import"
    TRAINING_RUN = "training.run"
    SCALING_STUDY = "training.scaling_study"


class QueueName(StrEnum):
    IO = "io"
    CPU = "cpu"
    GPU = "gpu"


QUEUE_OF_KIND: Final[dict[JobKind, QueueName]] = {
    JobKind.FILE_IMPORT: QueueName.IO,
    JobKind.DATASET_INGEST: QueueName.IO,
    JobKind.DATASET_DERIVE: QueueName.IO,
    JobKind.PERSON_ERASURE: QueueName.IO,
    # every installation has workers of this queue, and only they can open the key that manifests are signed with
    JobKind.MODEL_EXPORT: QueueName.IO,
    # where what strangers wrote is read
    JobKind.MODEL_IMPORT: QueueName.IO,
    JobKind.TRAINING_RUN: QueueName.CPU,
    JobKind.SCALING_STUDY: QueueName.CPU,
}
