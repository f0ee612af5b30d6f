"""How much of a stream is in memory on its way to the store: counted, byte by byte, and not guessed from a process."""

import io
import threading
from typing import Any, BinaryIO, cast

import pytest
from botocore.awsrequest import AWSRequest, AWSResponse

from core.backends.blobs import MAX_IN_FLIGHT_BYTES, S3BlobStore
from core.config import Settings

_MIB = 1024 * 1024
_BEGUN = b"<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>"
_ENDED = b"<CompleteMultipartUploadResult><ETag>all</ETag></CompleteMultipartUploadResult>"


class Counted(io.RawIOBase):
    """So many bytes, as fast as they are asked for."""

    def __init__(self, num_bytes: int, meter: "Meter") -> None:
        self._num_left, self._meter = num_bytes, meter

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        num = min(self._num_left, size if size >= 0 else self._num_left)
        self._num_left -= num
        self._meter.add(num)
        return bytes(num)


class Meter:
    """Bytes that were read and of which the store has not said yet that it has them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._now = 0
        self.peak = self.stored = 0

    def add(self, num_bytes: int) -> None:
        with self._changed:
            self._now += num_bytes
            self.peak = max(self.peak, self._now)
            self._changed.notify_all()

    def take(self, num_bytes: int) -> None:
        with self._changed:
            self._now -= num_bytes
            self.stored += num_bytes

    def is_exceeded(self, limit: int, *, within_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._now > limit, timeout=within_s)


class SlowStore:
    """Answers for S3. Its first parts are not taken before the reader had all the time it wants to run ahead."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._num_held = 0
        self._lock = threading.Lock()

    def answer(self, request: AWSRequest, **_: object) -> Any:  # noqa: ANN401 - as `_answer`
        if request.method == "POST":
            return _answer(request, _BEGUN if "uploads" in str(request.url).partition("?")[2] else _ENDED)
        num_bytes = int(request.headers["Content-Length"])
        with self._lock:
            self._num_held += 1
            is_held = self._num_held <= 6
        if is_held:
            self._meter.is_exceeded(MAX_IN_FLIGHT_BYTES, within_s=0.5)
        self._meter.take(num_bytes)
        return _answer(request, b"")


def _answer(request: AWSRequest, body: bytes) -> Any:  # noqa: ANN401 - a part of botocore that its types leave out
    answer: Any = AWSResponse(str(request.url), 200, cast("Any", {"ETag": '"part"'}), io.BytesIO(body))
    answer._content = body
    return answer


@pytest.mark.parametrize("num_bytes", [3 * _MIB, 100 * _MIB, 300 * _MIB + 1])
def test_of_a_stream_of_any_length_at_most_so_much_is_in_memory(num_bytes: int) -> None:
    meter = Meter()
    store = S3BlobStore(
        Settings(s3_endpoint_url="http://127.0.0.1:1", s3_access_key_id="none", s3_secret_access_key="none")
    )
    slow = SlowStore(meter)
    store._client.meta.events.register_last("before-send.s3", cast("Any", slow.answer))
    store.put_stream("key", cast("BinaryIO", Counted(num_bytes, meter)))
    assert meter.stored == num_bytes
    assert min(num_bytes, 24 * _MIB) <= meter.peak <= MAX_IN_FLIGHT_BYTES
