"""Each blob store through the same cases."""

import io
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

import pytest

from core.backends.blobs import BlobStore, MemoryBlobStore, S3BlobStore
from core.config import Settings
from core.errors import Conflict, NotFound, Unavailable
from core.kit.ids import new_id

MIB = 1024 * 1024


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.stack)])
def store(request: pytest.FixtureRequest) -> BlobStore:
    return MemoryBlobStore() if request.param == "memory" else request.getfixturevalue("blobs")


@pytest.fixture
def prefix() -> str:
    return new_id("tests/")


class Interrupted(io.RawIOBase):
    """A stream that breaks in the middle, as an upload does when its sender goes."""

    def __init__(self, num_good_bytes: int) -> None:
        self._num_left = num_good_bytes

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._num_left <= 0 or size < 0:
            raise ConnectionResetError
        num = min(self._num_left, size)
        self._num_left -= num
        return b"x" * num


class TestBlobStore:
    def test_what_is_put_is_read(self, store: BlobStore, prefix: str, tmp_path: Path) -> None:
        key = f"{prefix}/a b/ü.txt"
        store.put_bytes(key, b"hello world")
        store.download(key, tmp_path / "copy")
        assert store.read_bytes(key) == b"hello world"
        assert store.read_bytes(key, max_bytes=5) == b"hello"
        assert b"".join(store.read_chunks(key)) == b"hello world"
        assert (tmp_path / "copy").read_bytes() == b"hello world"
        info = store.info(key)
        assert info is not None
        assert (info.key, info.num_bytes) == (key, 11)

    def test_an_empty_object_is_an_object(self, store: BlobStore, prefix: str) -> None:
        store.put_bytes(f"{prefix}/empty", b"")
        info = store.info(f"{prefix}/empty")
        assert info is not None
        assert info.num_bytes == 0
        assert store.read_bytes(f"{prefix}/empty") == b""

    def test_a_stream_and_a_file_of_several_parts_arrive_whole(
        self, store: BlobStore, prefix: str, tmp_path: Path
    ) -> None:
        data = bytes(range(256)) * (17 * MIB // 256)
        (tmp_path / "file").write_bytes(data)
        store.put_stream(f"{prefix}/stream", io.BytesIO(data))
        store.put_file(f"{prefix}/file", tmp_path / "file")
        assert b"".join(store.read_chunks(f"{prefix}/stream")) == data
        assert b"".join(store.read_chunks(f"{prefix}/file")) == data

    def test_a_stream_that_breaks_leaves_nothing(self, store: BlobStore, prefix: str) -> None:
        broken: BinaryIO = Interrupted(20 * MIB)  # type: ignore[assignment]
        with pytest.raises(ConnectionResetError):
            store.put_stream(f"{prefix}/broken", broken)
        assert store.info(f"{prefix}/broken") is None

    def test_if_absent_keeps_the_first(self, store: BlobStore, prefix: str) -> None:
        store.put_bytes(f"{prefix}/once", b"first", if_absent=True)
        with pytest.raises(Conflict):
            store.put_bytes(f"{prefix}/once", b"second", if_absent=True)
        assert store.read_bytes(f"{prefix}/once") == b"first"

    def test_what_is_not_there_is_not_found(self, store: BlobStore, prefix: str, tmp_path: Path) -> None:
        assert store.info(f"{prefix}/none") is None
        with pytest.raises(NotFound):
            store.read_bytes(f"{prefix}/none")
        with pytest.raises(NotFound):
            next(store.read_chunks(f"{prefix}/none"))
        with pytest.raises(NotFound):
            store.download(f"{prefix}/none", tmp_path / "none")
        assert not (tmp_path / "none").exists()

    def test_keys_are_those_below_a_prefix_in_order(self, store: BlobStore, prefix: str) -> None:
        for name in ("b", "a", "c/d"):
            store.put_bytes(f"{prefix}/in/{name}", b"x")
        store.put_bytes(f"{prefix}/out", b"x")
        assert store.keys(f"{prefix}/in/") == [f"{prefix}/in/a", f"{prefix}/in/b", f"{prefix}/in/c/d"]
        assert store.keys(f"{prefix}/nothing/") == []

    def test_deleting_is_final_and_may_be_repeated(self, store: BlobStore, prefix: str) -> None:
        store.put_bytes(f"{prefix}/gone", b"x")
        store.delete(f"{prefix}/gone")
        store.delete(f"{prefix}/gone")
        assert store.info(f"{prefix}/gone") is None
        assert store.keys(prefix) == []

    def test_all_below_a_prefix_is_deleted_and_nothing_beside_it(self, store: BlobStore, prefix: str) -> None:
        for name in ("in/a", "in/b/c", "inner", "out"):
            store.put_bytes(f"{prefix}/{name}", b"x")
        assert store.delete_prefix(f"{prefix}/in/") == 2
        assert store.delete_prefix(f"{prefix}/in/") == 0
        assert store.keys(prefix) == [f"{prefix}/inner", f"{prefix}/out"]

    def test_without_unfinished_uploads_there_is_nothing_to_abort(self, store: BlobStore, prefix: str) -> None:
        store.put_bytes(f"{prefix}/done", b"x")
        assert store.abort_stale_uploads(f"{prefix}/") == 0
        assert store.read_bytes(f"{prefix}/done") == b"x"

    def test_a_signed_url_names_the_object(self, store: BlobStore, prefix: str) -> None:
        store.put_bytes(f"{prefix}/signed", b"x")
        assert f"{prefix}/signed" in store.sign_get(f"{prefix}/signed")


@pytest.mark.stack
class TestS3:
    def test_a_signed_url_opens_its_object_and_no_other(self, blobs: S3BlobStore, prefix: str) -> None:
        for name in ("one", "two"):
            blobs.put_bytes(f"{prefix}/{name}", name.encode())
        url = blobs.sign_get(f"{prefix}/one")
        with urllib.request.urlopen(url) as answer:  # noqa: S310 - our own server
            assert answer.read() == b"one"
        for tampered in (url.replace("/one", "/two"), url.partition("?")[0]):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(tampered)  # noqa: S310 - our own server
            assert refused.value.code == 403
            refused.value.close()

    def test_an_upload_that_nobody_ends_is_aborted_once_it_is_old(self, blobs: S3BlobStore, prefix: str) -> None:
        for name in ("a/one", "b/two"):
            begun = blobs._client.create_multipart_upload(Bucket=blobs._bucket, Key=f"{prefix}/{name}")
            blobs._client.upload_part(
                Bucket=blobs._bucket, Key=begun["Key"], UploadId=begun["UploadId"], PartNumber=1, Body=b"x"
            )
        assert blobs.abort_stale_uploads(f"{prefix}/", older_than_s=3600) == 0
        assert blobs.abort_stale_uploads(f"{prefix}/a/") == 1
        assert blobs.abort_stale_uploads(f"{prefix}/") == 1
        assert blobs.abort_stale_uploads(f"{prefix}/") == 0

    def test_the_bucket_may_be_there_already(self, blobs: S3BlobStore) -> None:
        blobs.ensure_bucket()
        blobs.ensure_bucket()


def test_a_server_that_is_away_is_unavailable() -> None:
    away = S3BlobStore(
        Settings(s3_endpoint_url="http://127.0.0.1:1", s3_access_key_id="none", s3_secret_access_key="none")
    )
    away._client.meta.config.retries = {"total_max_attempts": 1}
    with pytest.raises(Unavailable):
        away.put_bytes("key", b"x")
