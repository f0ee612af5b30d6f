"""A stranger's files, or archive of them, as what of them is read: the configuration, the weights, a manifest of ours.

Nothing is written under a name from an archive, nothing is unpacked beyond a limit, and what is not read is not opened.
"""

import errno
import stat
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, cast

from core.errors import Invalid
from core.exports.forms import MANIFEST
from core.kit.hashing import sha256_file
from core.model_imports import names
from core.model_imports.child import GivenFile

# as much as is served
MAX_BYTES: Final = {names.CONFIG: 1 << 20, names.WEIGHTS: 4 << 30, MANIFEST: 16 << 20}
_MAX_MEMBERS: Final = 1000
# of one that is packed tighter, no honest weights are in it: they hardly become smaller
_MAX_RATIO: Final = 100
_CHUNK_BYTES: Final = 1 << 20
_OF_THE_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})
_BROKEN: Final = (
    *(OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError),
    # what damaged archives make of `zipfile`
    *(ValueError, IndexError, RuntimeError),
)


@dataclass(frozen=True, slots=True)
class Package:
    """The files by their names, on the disk under names of ours; each has at most `MAX_BYTES`."""

    paths: dict[str, Path]
    sha256s: dict[str, str]
    """Of every file of the package that was read."""

    def content(self, name: str) -> bytes:
        return self.paths[name].read_bytes()


def read(given: Sequence[GivenFile], into: Path) -> Package:
    """Raises `Invalid` for what is no adapter, what is too large, and what no honest archive has."""
    names.check_given([one.name for one in given])
    if len(given) == 1 and names.is_archive(given[0].name):
        paths = _unpacked(given[0], into)
    else:
        paths = {one.name: one.path for one in given if one.name in MAX_BYTES}
    for name, path in paths.items():
        if path.stat().st_size > MAX_BYTES[name]:
            raise _too_large(name)
    return Package(paths, {name: sha256_file(path) for name, path in paths.items()})


def _unpacked(given: GivenFile, into: Path) -> dict[str, Path]:
    try:
        with zipfile.ZipFile(given.path) as archive:
            members = _members(archive)
            return {
                name: _written(archive, member, into / f"unpacked-{number}", max_bytes=MAX_BYTES[name])
                for number, (name, member) in enumerate(members.items())
            }
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise
        raise Invalid(
            f"{given.name[:100]} cannot be unpacked: it is no zip archive, or it is damaged or was cut off. Pack the "
            "folder again, or give its files without an archive.",
            code="archive_broken",
            param="file_ids",
        ) from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Those that are read, by name: of the one folder that has the adapter."""
    infos = archive.infolist()
    if len(infos) > _MAX_MEMBERS:
        raise _unfit(f"it holds more than {_MAX_MEMBERS:,} files")
    for info in infos:
        _refuse_trick(info)
    entries = [(PurePosixPath(info.filename), info) for info in infos if not info.is_dir()]
    # what a Mac puts beside each file
    entries = [one for one in entries if "__MACOSX" not in one[0].parts and not one[0].name.startswith(".")]
    names.refuse_pickles([path.name for path, _ in entries])
    folders = {path.parent for path, _ in entries if path.name == names.CONFIG}
    if len(folders) > 1:
        raise _unfit("it holds several adapters, and one is brought in at a time")
    folder = next(iter(folders), PurePosixPath())
    beside = [(path.name, info) for path, info in entries if path.parent == folder]
    names.check_whole([name for name, _ in beside], what="files of the archive")
    return {name: info for name, info in beside if name in MAX_BYTES}


def _refuse_trick(info: zipfile.ZipInfo) -> None:
    """Nothing of these would ever be written or followed here; no honest archive of a model has them."""
    path = PurePosixPath(info.filename.replace("\\", "/"))
    is_outside = path.is_absolute() or ".." in path.parts or ":" in info.filename
    if stat.S_ISLNK(info.external_attr >> 16) or is_outside:
        raise _unfit(f"it holds a link, or a file that points out of it: {info.filename[:100]!r}")
    if info.flag_bits & 1:
        raise _unfit("it is protected by a password")


def _written(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, *, max_bytes: int) -> Path:
    name = PurePosixPath(info.filename).name
    if info.file_size > max_bytes:
        raise _too_large(name)
    if info.file_size > _CHUNK_BYTES and info.file_size > _MAX_RATIO * info.compress_size:
        raise _unfit(f"{name} unpacks to more than {_MAX_RATIO} times its size, as no weights do")
    num_bytes = 0
    with cast("BinaryIO", archive.open(info)) as packed, path.open("wb") as out:
        while chunk := packed.read(_CHUNK_BYTES):
            num_bytes += len(chunk)
            if num_bytes > info.file_size:
                raise _unfit(f"{name} is larger than the archive says")
            out.write(chunk)
    return path


def _unfit(reason: str) -> Invalid:
    return Invalid(
        f"This archive is not opened: {reason}. Pack the adapter's folder alone, or give its files without an archive.",
        code="archive_unfit",
        param="file_ids",
    )


def _too_large(name: str) -> Invalid:
    return Invalid(
        f"{name} has more than {MAX_BYTES[name]:,} bytes, the most that is served of an adapter. Bring one of a lower "
        "rank, or for fewer layers.",
        code="adapter_too_large",
        param="file_ids",
    )
