from core.backends.blobs import MemoryBlobStore
from core.backends.events import RecordingEventBus
from core.backends.mail import RecordingMailer
from core.backends.queue import RecordingTaskQueue
from core.backends.registry import Backends


def memory_backends() -> Backends:
    """Edges that reach nothing: they keep what they are given."""
    return Backends(
        blobs=MemoryBlobStore(), queue=RecordingTaskQueue(), events=RecordingEventBus(), mail=RecordingMailer()
    )
