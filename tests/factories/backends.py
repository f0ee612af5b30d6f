from core.backends.blobs import MemoryBlobStore
from core.backends.events import RecordingEventBus
from core.backends.limits import NullRateLimiter
from core.backends.mail import RecordingMailer
from core.backends.outbound import OutboundClient
from core.backends.queue import RecordingTaskQueue
from core.backends.registry import Backends
from core.kit.ssrf import Rules

# of a network for documents: whatever is sent there arrives nowhere
NOWHERE = "192.0.2.1"


def memory_backends() -> Backends:
    """Edges that reach nothing: they keep what they are given. Every host has an address at which nobody is."""
    return Backends(
        blobs=MemoryBlobStore(),
        queue=RecordingTaskQueue(),
        events=RecordingEventBus(),
        mail=RecordingMailer(),
        outbound=OutboundClient(
            Rules.parse(allow=f"{NOWHERE}/32", ports="443", needs_https=True), resolve=lambda *_: [NOWHERE]
        ),
        limits=NullRateLimiter(),
    )
