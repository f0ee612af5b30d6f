"""Which bytes stand for which letters: UTF-8 where it is, else what the bytes themselves give away.

What comes out is always UTF-8. A byte that means nothing in the encoding found is passed on as it is, so that the line
reader refuses it with its row.
"""

import codecs
import io
from typing import BinaryIO, Final

from typing_extensions import Buffer

from core.datasets.formats import refusals
from core.datasets.formats.lines import SURELY_UTF8_BYTES, num_bytes_beyond_ascii, refuse_binary
from core.datasets.formats.rejoined import Rejoined, as_binary
from core.datasets.types import Notice

_HEAD_BYTES: Final = 1024 * 1024
# beyond this a file that was UTF-8 so far is held to be it: a byte that is not is refused with its row
_SCANNED_BYTES: Final = 256 * 1024 * 1024
_CHUNK_BYTES: Final = 1024 * 1024
_SAMPLE_BYTES: Final = 64 * 1024
_WITH_BOM: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# what spreadsheets and editors wrote before UTF-8, by the names that their menus have for it
_CALLED: Final = {
    "cp1252": "Windows-1252 (Western European)",
    "cp1250": "Windows-1250 (Central European)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "cp1253": "Windows-1253 (Greek)",
    "cp1254": "Windows-1254 (Turkish)",
    "cp1255": "Windows-1255 (Hebrew)",
    "cp1256": "Windows-1256 (Arabic)",
    "mac_roman": "Mac OS Roman",
    "koi8_r": "KOI8-R (Cyrillic)",
    "shift_jis": "Shift JIS (Japanese)",
    "euc_jp": "EUC-JP (Japanese)",
    "gb18030": "GB 18030 (Chinese)",
    "big5": "Big5 (Chinese)",
    "euc_kr": "EUC-KR (Korean)",
    "utf-16": "UTF-16",
    "utf-32": "UTF-32",
}
_MUCH_WORSE: Final = 0.01
_FAULTS_PER_LETTER: Final = 1.5
_PUNCTUATION: Final = "\u2013\u2014\u2018\u2019\u201a\u201c\u201d\u201e\u2026\u2022\u20ac\xa0\xab\xbb\xb0\xa7"


def in_utf8(stream: BinaryIO) -> tuple[BinaryIO, tuple[Notice, ...]]:
    """The same text in UTF-8, and what to tell whoever sent it. Reads the beginning."""
    head = stream.read(_HEAD_BYTES)
    refuse_binary(head)
    found = _encoding(head, stream)
    if stream.seekable():
        stream.seek(0)
        whole = stream
    else:
        whole = as_binary(Rejoined(head, stream))
    if found is None:
        return whole, ()
    name, example = found
    said = f" For example: {refusals.quoted(example)}." if example else ""
    notice = Notice(
        code="encoding_converted",
        text=f"The text is in {_CALLED[name]}, not in UTF-8, and was converted. Check that letters such as "
        f"ä, é or ñ read right.{said}",
    )
    return as_binary(_Recoded(whole, name)), (notice,)


def _encoding(head: bytes, stream: BinaryIO) -> tuple[str, str] | None:
    """Its name, and a piece of the text in it; none for UTF-8, and for what is UTF-8 with a fault."""
    for bom, name in _WITH_BOM:
        if head.startswith(bom):
            return name, ""
    if head.startswith(codecs.BOM_UTF8):
        return None
    sample = _undecodable(head, stream)
    if sample is None or b"\0" in sample:
        return None
    name = _likeliest(sample)
    lines = sample.decode(name, "replace").splitlines()
    return name, next((line for line in lines if not line.isascii()), "")


def _likeliest(sample: bytes) -> str:
    """Of those that read a short text alike, the one that makes letters of most bytes; else by far the most common."""
    from charset_normalizer import from_bytes  # noqa: PLC0415 - few texts need it

    matches = list(from_bytes(sample, cp_isolation=[name for name in _CALLED if not name.startswith("utf")]))
    likely = [match for match in matches if match.chaos <= matches[0].chaos + _MUCH_WORSE]
    shares = {
        name: _share_of_letters(sample.decode(name, "replace"))
        for match in likely
        for name in match.could_be_from_charset
        if name in _CALLED
    }
    return max(shares, key=lambda name: (shares[name], name == "cp1252"), default="cp1252")


def _share_of_letters(text: str) -> float:
    beyond_ascii = [char for char in text if not char.isascii() and char not in _PUNCTUATION]
    return sum(map(str.isalpha, beyond_ascii)) / len(beyond_ascii) if beyond_ascii else 1.0


def _undecodable(head: bytes, stream: BinaryIO) -> bytes | None:
    """Lines from the first byte on that is no UTF-8; none if that is but a fault of a text in UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    chunk, num_scanned, num_letters = head, 0, 0
    while chunk and num_scanned < _SCANNED_BYTES:
        try:
            decoder.decode(chunk, final=len(chunk) < _CHUNK_BYTES)
        except UnicodeDecodeError as error:
            bad = error.object
            num_letters += num_bytes_beyond_ascii(bad[: error.start])
            begin = max(bad.rfind(b"\n", 0, error.start) + 1, error.start - _SAMPLE_BYTES // 2)
            sample = _lines_with_letters(bad[begin : begin + _CHUNK_BYTES])
            is_fault = num_letters and (num_letters >= SURELY_UTF8_BYTES or _is_mostly_utf8(sample))
            return None if is_fault else sample
        num_letters += num_bytes_beyond_ascii(chunk)
        if num_letters >= SURELY_UTF8_BYTES:
            return None
        num_scanned += len(chunk)
        chunk = stream.read(_CHUNK_BYTES) if stream.seekable() else b""
    return None


def _is_mostly_utf8(sample: bytes) -> bool:
    """Two bytes of another encoding may be a letter of UTF-8 by chance, in Chinese every third pair is."""
    text = sample.decode("utf-8", "surrogateescape")
    num_faults = sum("\udc80" <= char <= "\udcff" for char in text)
    num_letters = sum(not char.isascii() for char in text) - num_faults
    return num_faults < _FAULTS_PER_LETTER * num_letters


def _lines_with_letters(data: bytes) -> bytes:
    """Those that tell encodings apart; the others are the same in all."""
    found, num_bytes = [], 0
    for line in data.splitlines(keepends=True):
        if not line.isascii():
            found.append(line[:_SAMPLE_BYTES])
            num_bytes += len(line)
            if num_bytes > _SAMPLE_BYTES:
                break
    return b"".join(found)[:_SAMPLE_BYTES]


class _Recoded(io.RawIOBase):
    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(name)("surrogateescape")
        self._rest = memoryview(b"")
        self._num_bytes = 0
        self._is_over = False

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._num_bytes

    def readinto(self, buffer: Buffer) -> int:
        while not self._rest and not self._is_over:
            chunk = self._stream.read(_CHUNK_BYTES)
            self._is_over = not chunk
            self._rest = memoryview(self._recoded(chunk))
        target = memoryview(buffer)
        num = min(len(target), len(self._rest))
        target[:num] = self._rest[:num]
        self._rest = self._rest[num:]
        self._num_bytes += num
        return num

    def _recoded(self, chunk: bytes) -> bytes:
        try:
            return self._decoder.decode(chunk, final=not chunk).encode("utf-8", "surrogateescape")
        except UnicodeError:
            # half a letter of UTF-16: nothing after it can be read
            self._is_over = True
            return b"\xff"
