"""The framing of one event."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from blackbox.server.http.sse import Framing, comment, event


def test_an_event_has_its_number_and_one_line_of_data() -> None:
    assert b"".join(event(7, [b'{"a"', b":1}"])) == b'id: 7\ndata: {"a":1}\n\n'


def test_a_comment_is_skipped_by_every_client() -> None:
    assert comment("missed 3") == b": missed 3\n\n"


def test_bare_framing_adds_nothing() -> None:
    framing = Framing(gzip=False, chunked=False)
    assert framing.head() + framing.piece(b"text") + framing.tail() == b"text"


def test_chunks_carry_their_size() -> None:
    framing = Framing()
    assert framing.head() + framing.piece(b"x" * 26) + framing.tail() == b"1a\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n"


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=6), st.data())
def test_gzip_pieces_stand_alone(texts: list[bytes], data: st.DataObject) -> None:
    """Whichever events a client gets, in one stream they decode to just these, each as soon as it has arrived."""
    framing = Framing(gzip=True, chunked=False)
    pieces = {text: framing.piece(text) for text in texts}
    decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert decoder.decompress(framing.head()) == b""
    for text in data.draw(st.lists(st.sampled_from(texts), max_size=8)):
        assert decoder.decompress(pieces[text]) == text
