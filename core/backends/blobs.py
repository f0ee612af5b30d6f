"""Objects in S3. One contract, the real S3 and an in-memory one for tests; both pass the same contract test."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from core.config import Settings
from core.errors import Conflict, NotFound, Unavailable
from core.kit.clock import utc_now

_MIB = 1024 * 1024
# the store's limit of 10,000 parts makes that 80 GiB, ten times the largest file that is taken
_PART_BYTES = 8 * _MIB
_PARTS_AT_ONCE = 3
MAX_IN_FLIGHT_BYTES = 64 * _MIB
"""Of one stream on its way to the store, whatever its length, at most so much is in memory."""


def _transfer(*, whole_below_bytes: int = _PART_BYTES) -> TransferConfig:
    config = TransferConfig(multipart_threshold=whole_below_bytes, multipart_chunksize=_PART_BYTES)
    config.max_request_concurrency = _PARTS_AT_ONCE
    # boto3's own is ten, which no argument of it changes; one more part is read while these are sent
    config.max_in_memory_upload_chunks = _PARTS_AT_ONCE
    return config


_TRANSFER = _transfer()
# a file on disk is sent from there, and nothing of it need be in memory
_TRANSFER_OF_FILES = _transfer(whole_below_bytes=64 * _MIB + 1)


@dataclass(frozen=True, slots=True)
class BlobInfo:
    key: str
    num_bytes: int


class BlobStore(Protocol):
    """Write-once objects by key. Every method raises `Unavailable` when the store does not answer."""

    def put_bytes(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        """Store `data`. With `if_absent`, raises `Conflict` if the key exists (`If-None-Match: *`)."""

    def put_stream(self, key: str, stream: BinaryIO) -> None:
        """Store a stream of any length in parts, with a bounded part of it in memory; failing, it leaves nothing."""

    def put_file(self, key: str, path: Path) -> None:
        """Store a file in parts."""

    def read_bytes(self, key: str, *, max_bytes: int | None = None) -> bytes:
        """The object, or its first `max_bytes`. Raises `NotFound`."""

    def read_chunks(self, key: str) -> Iterator[bytes]:
        """The object in chunks of about 1 MiB. Raises `NotFound` at the first chunk."""

    def download(self, key: str, path: Path) -> None:
        """Write the object to `path`. Raises `NotFound`."""

    def info(self, key: str) -> BlobInfo | None:
        """Size of the object; None if there is none."""

    def keys(self, prefix: str) -> list[str]:
        """All keys that start with `prefix`, sorted."""

    def delete(self, key: str) -> None:
        """Remove the object; no error if there is none."""

    def delete_prefix(self, prefix: str) -> int:
        """Remove every object whose key starts with `prefix`; how many there were."""

    def abort_stale_uploads(self, prefix: str = "", *, older_than_s: float = 0) -> int:
        """Drop the parts of uploads below `prefix` that began so long ago and never ended; how many there were.

        An upload that still runs fails by it.
        """

    def sign_get(self, key: str, *, expires_s: int = 600) -> str:
        """A URL that reads the object without credentials for `expires_s` seconds."""


class S3BlobStore:
    def __init__(self, settings: Settings) -> None:
        self._bucket = settings.s3_bucket
        self._client = boto3.client(
            "s3",
            endpoint_url=settings.s3_endpoint_url,
            region_name=settings.s3_region,
            aws_access_key_id=settings.s3_access_key_id,
            aws_secret_access_key=settings.s3_secret_access_key,
            config=Config(
                retries={"mode": "standard", "total_max_attempts": 8},
                connect_timeout=5,
                read_timeout=60,
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                # botocore's CRC trailers break several S3-compatible servers; our own sha256 verifies what matters
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def ensure_bucket(self) -> None:
        """Create the bucket if it is not there."""
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except ClientError:
            try:
                self._client.create_bucket(Bucket=self._bucket)
            except (ClientError, BotoCoreError) as error:
                raise _translate(error, self._bucket) from error
        except BotoCoreError as error:
            raise _translate(error, self._bucket) from error

    def put_bytes(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        try:
            if if_absent:
                self._client.put_object(Bucket=self._bucket, Key=key, Body=data, IfNoneMatch="*")
            else:
                self._client.put_object(Bucket=self._bucket, Key=key, Body=data)
        except (ClientError, BotoCoreError) as error:
            raise _translate(error, key) from error

    def put_stream(self, key: str, stream: BinaryIO) -> None:
        try:
            config = _TRANSFER_OF_FILES if stream.seekable() else _TRANSFER
            self._client.upload_fileobj(stream, self._bucket, key, Config=config)
        except (ClientError, BotoCoreError) as error:
            raise _translate(error, key) from error

    def put_file(self, key: str, path: Path) -> None:
        with path.open("rb") as stream:
            self.put_stream(key, stream)

    def read_bytes(self, key: str, *, max_bytes: int | None = None) -> bytes:
        try:
            body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
            with body:
                return body.read(max_bytes)
        except (ClientError, BotoCoreError) as error:
            raise _translate(error, key) from error

    def read_chunks(self, key: str) -> Iterator[bytes]:
        try:
            body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
            with body:
                yield from body.iter_chunks(_MIB)
        except (ClientError, BotoCoreError) as error:
            raise _translate(error, key) from error

    def download(self, key: str, path: Path) -> None:
        try:
            self._client.download_file(self._bucket, key, str(path), Config=_TRANSFER)
        except (ClientError, BotoCoreError) as error:
            raise _translate(error, key) from error

    def info(self, key: str) -> BlobInfo | None:
        try:
            head = self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if _is_missing(error):
                return None
            raise _translate(error, key) from error
        except BotoCoreError as error:
            raise _translate(error, key) from error
        return BlobInfo(key=key, num_bytes=head["ContentLength"])

    def keys(self, prefix: str) -> list[str]:
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))
        except (ClientError, BotoCoreError) as error:
            raise _translate(error, prefix) from error

    def delete(self, key: str) -> None:
        try:
            self._client.delete_object(Bucket=self._bucket, Key=key)
        except (ClientError, BotoCoreError) as error:
            raise _translate(error, key) from error

    def delete_prefix(self, prefix: str) -> int:
        keys = self.keys(prefix)
        for key in keys:
            self.delete(key)
        return len(keys)

    def abort_stale_uploads(self, prefix: str = "", *, older_than_s: float = 0) -> int:
        begun_before = utc_now() - timedelta(seconds=older_than_s)
        try:
            pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=prefix)
            stale = [
                upload
                for page in pages
                for upload in page.get("Uploads", [])
                # some servers answer with more than was asked for
                if upload["Key"].startswith(prefix) and upload["Initiated"] <= begun_before
            ]
            for upload in stale:
                self._abort(upload["Key"], upload["UploadId"])
        except (ClientError, BotoCoreError) as error:
            raise _translate(error, prefix) from error
        return len(stale)

    def _abort(self, key: str, upload_id: str) -> None:
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
        except ClientError as error:
            if not _is_missing(error):  # it ended meanwhile
                raise

    def sign_get(self, key: str, *, expires_s: int = 600) -> str:
        return self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=expires_s
        )


class MemoryBlobStore:
    """A dictionary with the contract of a blob store, for tests of code that is not about S3."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_bytes(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        if if_absent and key in self.objects:
            raise Conflict(f"{key} exists already.", code="object_exists")
        self.objects[key] = data

    def put_stream(self, key: str, stream: BinaryIO) -> None:
        self.objects[key] = stream.read()

    def put_file(self, key: str, path: Path) -> None:
        self.objects[key] = path.read_bytes()

    def read_bytes(self, key: str, *, max_bytes: int | None = None) -> bytes:
        return self._get(key)[:max_bytes]

    def read_chunks(self, key: str) -> Iterator[bytes]:
        stream = io.BytesIO(self._get(key))
        while chunk := stream.read(_MIB):
            yield chunk

    def download(self, key: str, path: Path) -> None:
        path.write_bytes(self._get(key))

    def info(self, key: str) -> BlobInfo | None:
        return BlobInfo(key, len(self.objects[key])) if key in self.objects else None

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    def delete_prefix(self, prefix: str) -> int:
        keys = self.keys(prefix)
        for key in keys:
            self.delete(key)
        return len(keys)

    def abort_stale_uploads(self, prefix: str = "", *, older_than_s: float = 0) -> int:  # noqa: ARG002
        return 0  # a put of ours ends before it returns

    def sign_get(self, key: str, *, expires_s: int = 600) -> str:
        return f"memory://{key}?expires_s={expires_s}"

    def _get(self, key: str) -> bytes:
        try:
            return self.objects[key]
        except KeyError:
            raise NotFound(f"There is no object {key}.", code="object_not_found") from None


def _is_missing(error: ClientError) -> bool:
    return error.response.get("Error", {}).get("Code") in {"404", "NoSuchKey", "NoSuchUpload", "NotFound"}


def _translate(error: ClientError | BotoCoreError, key: str) -> NotFound | Conflict | Unavailable:
    if isinstance(error, ClientError):
        if _is_missing(error):
            return NotFound(f"There is no object {key}.", code="object_not_found")
        if error.response.get("Error", {}).get("Code") in {"PreconditionFailed", "412"}:
            return Conflict(f"{key} exists already.", code="object_exists")
    return Unavailable(
        "The object store does not answer. Nothing was lost; try again in a moment.",
        code="storage_unavailable",
    )
