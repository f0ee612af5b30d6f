"""The archive that is made while it is sent: any unzip reads it, and its size is known before."""

import io
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.exports.archive import StoredFile, chunks_of, size_of

CONTENT = {"README.md": b"# A model\n", "größe.json": b"{}", "empty.txt": b"", "weights": bytes(range(256)) * 5000}


def stored(content: dict[str, bytes]) -> list[StoredFile]:
    return [
        StoredFile(name=name, key=name, sha256="", crc32=zlib.crc32(data), num_bytes=len(data))
        for name, data in content.items()
    ]


def read(key: str) -> Iterator[bytes]:
    data = CONTENT[key]
    yield from (data[begin : begin + 1000] for begin in range(0, len(data), 1000))


def test_it_unpacks_to_the_same_files_and_is_as_long_as_was_said(tmp_path: Path) -> None:
    files = stored(CONTENT)
    archive = b"".join(chunks_of(files, folder="claims-helper", read=read))
    assert len(archive) == size_of(files, folder="claims-helper")
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        assert {name: opened.read(f"claims-helper/{name}") for name in CONTENT} == CONTENT
    (tmp_path / "a.zip").write_bytes(archive)
    # what does not look ahead finds sizes and checksums before the bytes
    assert archive[6:8] == b"\x00\x08"
    assert archive[14:18] == zlib.crc32(CONTENT["README.md"]).to_bytes(4, "little")
    listed = subprocess.run(
        ["python3", "-m", "zipfile", "-l", str(tmp_path / "a.zip")], capture_output=True, text=True, check=True
    )
    assert "claims-helper/größe.json" in listed.stdout


def test_the_same_files_are_the_same_bytes() -> None:
    one, other = (b"".join(chunks_of(stored(CONTENT), folder="m", read=read)) for _ in range(2))
    assert one == other


def test_more_than_four_gigabytes_have_their_size_told() -> None:
    huge = [StoredFile(name="model.gguf", key="k", sha256="", crc32=1, num_bytes=5 << 30)]
    assert size_of(huge, folder="m") > 5 << 30
    head = next(chunks_of(huge, folder="m", read=read))
    assert (5 << 30).to_bytes(8, "little") in head


def test_a_file_that_lost_bytes_breaks_the_download_off() -> None:
    [longer] = [StoredFile(name="README.md", key="README.md", sha256="", crc32=0, num_bytes=99)]
    with pytest.raises(ValueError, match="has not the size"):
        list(chunks_of([longer], folder="m", read=read))
