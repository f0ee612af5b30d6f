"""What packs a file: gzip, Zstandard, and a ZIP archive with one file that can be read.

Nothing is ever written under a name from an archive, and nothing is unpacked beyond a limit.
"""

import gzip
import io
import stat
import tempfile
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import IO, BinaryIO, Final, cast

import zstandard
from typing_extensions import Buffer

from core.datasets.formats import refusals
from core.datasets.formats.rejoined import Rejoined, as_binary
from core.errors import Invalid

ENDINGS: Final = (".gz", ".zst", ".zip")
MAX_UNPACKED_BYTES: Final = 8 * 1024**3
MAX_IN_A_FILE_BYTES: Final = 512 * 1024**2
_MAX_MEMBERS: Final = 10_000
# what a decoder of Zstandard may keep of what it wrote already; more is asked for by `zstd --long` only
_MAX_WINDOW_BYTES: Final = 128 * 1024**2
_GZIP, _ZSTD, ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
_EMPTY_ZIP: Final = b"PK\x05\x06"
# a workbook or document is a ZIP archive too; these are in each of them and in no other
_OF_A_DOCUMENT: Final = {"[Content_Types].xml", "mimetype"}
_BROKEN: Final = (
    *(OSError, EOFError, zlib.error, zstandard.ZstdError, zipfile.BadZipFile, NotImplementedError),
    # what damaged archives make of `zipfile`: places before the beginning, names that are empty
    *(ValueError, IndexError, RuntimeError),
)
_CHUNK_BYTES: Final = 1024 * 1024
# of Zstandard, at a time: the worst of them unpacks to 128 MiB
_PACKED_BYTES: Final = 4096


def without_ending(filename: str) -> str:
    """`tickets.csv` of `tickets.csv.gz`; `tickets` of `tickets.zip`."""
    lowered = filename.lower()
    return next((filename[: -len(ending)] for ending in ENDINGS if lowered.endswith(ending)), filename)


def unpacked(stream: BinaryIO, endings: tuple[str, ...]) -> BinaryIO:
    """The file in a packed one, a packed one in that too; `endings` are those of the kinds that are read."""
    return _without_layers(stream, endings, num_left=2)


def on_disk(stream: BinaryIO) -> BinaryIO:
    """The same bytes where one can go back and forth. Raises Invalid if they are too many for that."""
    if stream.seekable() and not isinstance(stream, zipfile.ZipExtFile):
        return stream
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it goes with its reader
    num_bytes = 0
    while chunk := stream.read(_CHUNK_BYTES):
        num_bytes += len(chunk)
        if num_bytes > MAX_IN_A_FILE_BYTES:
            file.close()
            raise _too_large(MAX_IN_A_FILE_BYTES)
        file.write(chunk)
    return as_binary(_OnDisk(file))


def member_name(stream: BinaryIO, endings: tuple[str, ...]) -> str:
    """Of the one file in a ZIP archive that can be read. Raises Invalid if there is none, or several."""
    with _archive(stream) as archive:
        return _member(archive, endings).filename


def _without_layers(stream: BinaryIO, endings: tuple[str, ...], *, num_left: int) -> BinaryIO:
    head = stream.read(4)
    whole = _rewound(head, stream)
    if head.startswith(_GZIP):
        inner: BinaryIO = cast("BinaryIO", gzip.GzipFile(fileobj=whole))
    elif head == _ZSTD:
        inner = as_binary(_Zstandard(whole))
    elif head in {ZIP, _EMPTY_ZIP}:
        file = on_disk(whole)
        archive = _archive(file)
        if _OF_A_DOCUMENT & set(archive.namelist()):
            file.seek(0)
            return file
        inner = _opened(archive, _member(archive, endings))
    else:
        return whole
    if num_left == 0:
        raise refusals.refuse(
            "archive_nested",
            cause="The file is packed in a packed file, again and again.",
            fix="Unpack it and upload the file inside.",
        )
    return _without_layers(as_binary(_Unpacked(inner)), endings, num_left=num_left - 1)


def _rewound(head: bytes, stream: BinaryIO) -> BinaryIO:
    if stream.seekable():
        stream.seek(0)
        return stream
    return as_binary(Rejoined(head, stream))


def _archive(stream: BinaryIO) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(stream)
    except _BROKEN as error:
        raise _broken(error) from error
    if len(archive.infolist()) > _MAX_MEMBERS:
        raise refusals.refuse(
            "archive_unfit",
            cause=f"The archive holds more than {_MAX_MEMBERS:,} files.",
            fix="Upload the one file with your examples.",
        )
    return archive


def _opened(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BinaryIO:
    try:
        return cast("BinaryIO", archive.open(member))
    except _BROKEN as error:
        raise _broken(error) from error


def _member(archive: zipfile.ZipFile, endings: tuple[str, ...]) -> zipfile.ZipInfo:
    for info in archive.infolist():
        _refuse_trick(info)
    usable = [info for info in archive.infolist() if _is_usable(info, endings)]
    if len(usable) != 1:
        names = ", ".join(refusals.quoted(info.filename) for info in usable[:5])
        cause = f"The archive holds {len(usable)} files that could be read ({names})" if usable else ""
        raise refusals.refuse(
            "archive_unfit",
            cause=f"{cause or 'The archive holds no file that could be read'}; it must be one.",
            fix="Upload the one file with your examples.",
        )
    if usable[0].flag_bits & 1:
        raise refusals.refuse(
            "archive_unfit",
            cause="The archive is protected by a password.",
            fix="Unpack it and upload the file inside.",
        )
    return usable[0]


def _refuse_trick(info: zipfile.ZipInfo) -> None:
    """Nothing of these would ever be written or followed here; no honest archive of examples has them."""
    is_link = stat.S_ISLNK(info.external_attr >> 16)
    path = PurePosixPath(info.filename.replace("\\", "/"))
    if is_link or path.is_absolute() or ".." in path.parts:
        raise refusals.refuse(
            "archive_unfit",
            cause=f"The archive holds a link, or a file that points out of it: {refusals.quoted(info.filename)}.",
            fix="Pack the file with your examples alone, or upload it as it is.",
        )


def _is_usable(info: zipfile.ZipInfo, endings: tuple[str, ...]) -> bool:
    path = PurePosixPath(info.filename)
    # what a Mac puts beside each file
    is_shadow = path.name.startswith(".") or "__MACOSX" in path.parts
    return not is_shadow and not info.filename.endswith("/") and path.name.lower().endswith(endings)


class _OnDisk(io.RawIOBase):
    """A nameless file that is closed when nobody holds it any more."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        file.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Buffer) -> int:
        target = memoryview(buffer)
        data = self._file.read(len(target))
        target[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Zstandard(io.RawIOBase):
    """Unlike the library's own reader it notices that the end is missing."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        self._frame = self._decompressor.decompressobj()
        self._rest = memoryview(b"")
        self._packed = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        target = memoryview(buffer)
        while not self._rest:
            data = self._packed or self._stream.read(_PACKED_BYTES)
            self._packed = b""
            if not data:
                if not self._frame.eof:
                    raise EOFError("the end is missing")
                return 0
            if self._frame.eof:
                self._frame = self._decompressor.decompressobj()
            self._rest = memoryview(self._frame.decompress(data))
            self._packed = self._frame.unused_data
        num = min(len(target), len(self._rest))
        target[:num] = self._rest[:num]
        self._rest = self._rest[num:]
        return num


class _Unpacked(io.RawIOBase):
    """Bytes as they are unpacked, up to the limit. Raises Invalid for what cannot be unpacked."""

    def __init__(self, inner: BinaryIO) -> None:
        self._inner = inner
        self._num_bytes = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._num_bytes

    def readinto(self, buffer: Buffer) -> int:
        target = memoryview(buffer)
        try:
            data = self._inner.read(min(len(target), _CHUNK_BYTES))
        except _BROKEN as error:
            raise _broken(error) from error
        target[: len(data)] = data
        self._num_bytes += len(data)
        if self._num_bytes > MAX_UNPACKED_BYTES:
            raise _too_large(MAX_UNPACKED_BYTES)
        return len(data)


def _broken(error: Exception) -> Invalid:
    return refusals.refuse(
        "archive_broken",
        cause=f"The file cannot be unpacked; it is damaged or was cut off ({refusals.quoted(str(error))}).",
        fix="Pack it again, or upload it unpacked.",
    )


def _too_large(max_bytes: int) -> Invalid:
    return refusals.refuse(
        "unpacked_too_large",
        cause=f"Unpacked, the file has more than {max_bytes:,} bytes.",
        fix="Split it, or keep only what is to be learned.",
    )
