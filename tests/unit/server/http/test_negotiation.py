"""Which encoding a client gets, and whether it has the answer already."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.server.http.negotiation import STREAMED, WHOLE, accepted_encoding, has_tag


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (b"", "identity"),
        (b"gzip", "gzip"),
        (b"gzip, deflate", "gzip"),
        (b"gzip, deflate, br, zstd", "zstd"),
        (b"zstd;q=0.1, gzip;q=0.5", "gzip"),
        (b"gzip;q=0, zstd;q=0", "identity"),
        (b"*", "zstd"),
        (b"*;q=0.5, zstd;q=0", "gzip"),
        (b"identity, gzip;q=0.5", "identity"),
        (b"identity;q=0.5, gzip;q=0.5", "gzip"),
        (b"br, deflate", "identity"),
        (b"GZIP ; q=1.0", "gzip"),
        (b"gzip;q=junk", "identity"),
        (b"gzip;q=nan", "identity"),
        (b"*;q=0", "identity"),
        (b",,;;,", "identity"),
    ],
)
def test_the_best_liked_encoding_is_chosen(value: bytes, encoding: str) -> None:
    assert accepted_encoding(value, WHOLE) == encoding


def test_streams_never_get_zstd() -> None:
    assert accepted_encoding(b"zstd", STREAMED) == "identity"
    assert accepted_encoding(b"zstd, gzip;q=0.1", STREAMED) == "gzip"


@given(st.binary(max_size=60))
def test_any_value_has_a_meaning(value: bytes) -> None:
    assert accepted_encoding(value, WHOLE) in ("identity", *WHOLE)


@pytest.mark.parametrize(
    ("if_none_match", "known"),
    [
        (b'W/"a-1"', True),
        (b'"a-1"', True),
        (b'"x", W/"a-1"', True),
        (b'W/"a-2"', False),
        (b'W/"a-1', False),
        (b"", False),
        (b"a-1", False),
    ],
)
def test_entity_tags_compare_weakly(if_none_match: bytes, known: bool) -> None:
    assert has_tag(if_none_match, 'W/"a-1"') is known
