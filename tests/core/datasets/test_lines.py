import io

from hypothesis import example, given
from hypothesis import strategies as st

from core.datasets.formats.encodings import in_utf8
from core.datasets.formats.lines import Position, StreamGuard, text_lines
from core.datasets.formats.refusals import MAX_RECORD_BYTES
from core.errors import Invalid

PIECES = st.lists(
    st.one_of(
        st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace")),
        st.binary(max_size=4),
        st.sampled_from([b"\n", b"\0", b"\xff", "é".encode(), "🐦".encode(), b"\xef\xbb\xbf", b"PK\x03\x04"]),
    ),
    max_size=12,
)


def is_accepted_by_guard(content: bytes, sizes: list[int]) -> bool:
    guard, begin = StreamGuard(), 0
    for size in [*sizes, len(content)]:
        if begin < len(content) and not guard.accepts(content[begin : begin + size]):
            return False
        begin += size
    return True


def is_accepted_by_parser(content: bytes) -> bool:
    try:
        text, _ = in_utf8(io.BytesIO(content))
        list(text_lines(text, Position()))
    except Invalid:
        return False
    return True


@given(pieces=PIECES, sizes=st.lists(st.integers(1, 7), max_size=20))
@example(pieces=["🐦".encode()], sizes=[1, 1, 1])
@example(pieces=[b"caf\xe9"], sizes=[])
def test_the_guard_never_stops_what_the_parser_would_read(pieces: list[bytes], sizes: list[int]) -> None:
    content = b"".join(pieces)
    if is_accepted_by_parser(content):
        assert is_accepted_by_guard(content, sizes)


@given(pieces=PIECES, sizes=st.lists(st.integers(1, 7), max_size=20))
def test_what_the_guard_stops_the_parser_refuses(pieces: list[bytes], sizes: list[int]) -> None:
    content = b"".join(pieces)
    if not is_accepted_by_guard(content, sizes):
        assert not is_accepted_by_parser(content)


def test_the_guard_sees_a_long_line_over_many_chunks() -> None:
    guard = StreamGuard()
    assert guard.accepts(b"short\n" + b"x" * (MAX_RECORD_BYTES - 10))
    assert not guard.accepts(b"x" * 20)


def test_the_guard_forgets_a_line_that_ended() -> None:
    guard = StreamGuard()
    assert all(guard.accepts(b"x" * (MAX_RECORD_BYTES // 2) + b"\n") for _ in range(10))
