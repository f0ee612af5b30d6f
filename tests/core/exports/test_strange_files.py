"""Files that nobody here has written are refused in words, whatever is in them."""

from pathlib import Path

import pytest

from core.errors import Invalid
from core.exports.adapter_files import identity_in
from core.exports.forms import MANIFEST, SIGNATURE
from core.exports.signing import read_signature
from core.exports.verification import verify

KEY = "A" * 43 + "="
DEEP = b"[" * 200_000


def test_a_signature_that_no_reader_gets_through() -> None:
    with pytest.raises(Invalid) as refused:
        read_signature(DEEP)
    assert refused.value.error_code == "signature_unreadable"


def test_a_manifest_that_no_reader_gets_through(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(DEEP)
    (tmp_path / SIGNATURE).write_text(f'{{"algorithm": "ed25519", "public_key": "{KEY}", "signature": "AA=="}}')
    with pytest.raises(Invalid) as refused:
        verify(tmp_path, public_key=KEY)
    assert refused.value.error_code == "not_an_export"


def test_a_reference_that_no_reader_gets_through_was_bound_to_nothing() -> None:
    assert identity_in(len(DEEP).to_bytes(8, "little") + DEEP) == {}
