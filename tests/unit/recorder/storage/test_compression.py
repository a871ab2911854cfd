"""Packed bytes prove themselves."""

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.recorder.storage import compression
from blackbox.recorder.storage.compression import DamageError, DeltaCodec, PackedReader, pack, unpack

BODY = bytes(range(256)) * 8


@given(st.binary(max_size=2000))
def test_what_was_packed_comes_back(body: bytes) -> None:
    assert unpack(pack(body)) == body


@given(
    st.binary(max_size=300_000), st.lists(st.tuples(st.booleans(), st.integers(0, 200_000)), max_size=6), st.booleans()
)
def test_what_was_packed_comes_back_in_parts(body: bytes, parts: list[tuple[bool, int]], is_large: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "STREAMED_WINDOW_MAX", 0 if is_large else 1 << 20)
        reader, start = PackedReader(pack(body)), 0
    assert reader.size == len(body)
    for skipped, size in parts:
        read = reader.skip if skipped else reader.read
        if start + size > len(body):
            with pytest.raises(DamageError):
                read(size)
            return
        assert read(size) == (None if skipped else body[start : start + size])
        start += size


@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_a_difference_needs_its_key_alone(key: bytes, body: bytes) -> None:
    assert DeltaCodec(key).unpack(DeltaCodec(key).pack(body)) == body


def test_a_difference_from_a_long_key_is_short() -> None:
    key = random.Random(1).randbytes(800_000)
    body = key[:400_000] + b"changed" + key[400_007:]
    assert len(DeltaCodec(key).pack(body)) < 200


def test_another_key_is_noticed() -> None:
    key = random.Random(1).randbytes(8000)
    with pytest.raises(DamageError):
        DeltaCodec(key[::-1]).unpack(DeltaCodec(key).pack(key))


@pytest.mark.fault(23)
def test_row_23_every_flipped_bit_is_noticed() -> None:
    blob = pack(BODY)
    for place in range(len(blob) * 8):
        flipped = bytearray(blob)
        flipped[place // 8] ^= 1 << place % 8
        for read in (unpack, PackedReader):
            with pytest.raises(DamageError):
                read(bytes(flipped))


def test_a_frame_that_claims_to_be_huge_is_not_unpacked() -> None:
    magic, descriptor = b"\x28\xb5\x2f\xfd", b"\xe4"  # one segment, eight bytes of size, a checksum
    frame = magic + descriptor + (1 << 60).to_bytes(8, "little") + b"\x01\x00\x00"
    with pytest.raises(DamageError, match="size"):
        unpack(zlib.crc32(frame).to_bytes(4, "little") + frame)
