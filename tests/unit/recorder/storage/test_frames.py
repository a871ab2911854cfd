"""Whole moments, packed together."""

import struct
import tracemalloc
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.model.moment import Moment
from blackbox.recorder.dumps.file import BATCH_BYTES
from blackbox.recorder.storage import frames as storage_frames
from blackbox.recorder.storage.chunk_writer import BLOCK_BYTES_MAX
from blackbox.recorder.storage.compression import STREAMED_WINDOW_MAX, DamageError, PackedReader, pack, signed
from blackbox.recorder.storage.frames import (
    FRAMES_MAX,
    Frame,
    newest_packed,
    pack_frames,
    pack_pieces,
    to_bytes,
    to_moment,
    unpack_frames,
)
from tests.moments import MIB, moment
from tests.recorded_moments import series


def test_a_moment_with_everything_in_it_comes_back() -> None:
    whole = moment()
    assert to_moment(to_bytes(whole)) == whole


def packed(moments: list[Moment]) -> bytes:
    return pack_frames([Frame(one.timestamp, to_bytes(one)) for one in moments])


def test_a_frame_alone_comes_back() -> None:
    frame = Frame(1e9 + 0.1, to_bytes(moment()))
    assert Frame.from_alone(frame.alone()) == frame
    with pytest.raises(DamageError):
        Frame.from_alone(b"1234567")


def test_frames_come_back_in_order() -> None:
    moments = list(series(1e9, 60, blocks=True))
    assert unpack_frames(packed(moments)) == [Frame(one.timestamp, to_bytes(one)) for one in moments]


def in_pieces(frames: Sequence[Frame], each: int) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage_frames, "PIECE_FRAMES", each)
        return pack_pieces(
            [frame.time for frame in frames], [len(frame.body) for frame in frames], (frame.body for frame in frames)
        )


@given(
    st.lists(st.tuples(st.integers(0, 9).map(float), st.binary(max_size=300_000)), max_size=9),
    st.integers(-1, 9),
    st.integers(-1, 9),
    st.integers(1, 10),
)
def test_the_newest_of_a_range_is_that_of_all_unpacked(
    told: list[tuple[float, bytes]], since: float, until: float, each: int
) -> None:
    frames = [Frame(time, body) for time, body in told]
    fitting = [frame for frame in frames if since <= frame.time <= until]
    for blob in (pack_frames(frames), in_pieces(frames, each)):
        found = newest_packed(blob, since, until)
        assert found == max(fitting, key=lambda frame: frame.time, default=None)
        assert unpack_frames(blob, since, until) == fitting
        assert unpack_frames(blob) == frames


def test_pieces_before_the_newest_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = list(series(1e9, 60))
    frames = [Frame(one.timestamp, to_bytes(one)) for one in moments]
    blob, read = in_pieces(frames, 30), list[int]()

    class Counted(PackedReader):
        def read(self, size: int) -> bytes | memoryview:
            read.append(size)
            return super().read(size)

    monkeypatch.setattr(storage_frames, "PackedReader", Counted)
    assert newest_packed(blob, 0.0, frames[95].time) == frames[95]
    assert sum(read) == len(frames[0].body) + sum(len(frame.body) for frame in frames[90:96])


def test_pieces_take_little_more_than_all_together() -> None:
    frames = [Frame(one.timestamp, to_bytes(one)) for one in series(1e9, 60)]
    assert len(in_pieces(frames, 30)) < 1.2 * len(pack_frames(frames))


@pytest.mark.parametrize(
    "contents",
    [
        [1, pack(b"\x92\x91\xcb\x00\x00\x00\x00\x00\x00\x00\x00\x91\x01"), []],
        [1, pack(b"\x92\x91\xcb\x00\x00\x00\x00\x00\x00\x00\x00\x91\x01"), [pack(b"12")]],
        [1, pack(b"\x92\x91\xcb\x00\x00\x00\x00\x00\x00\x00\x00\x91\x01"), [b"1"]],
        [1, pack(b"\x92\x91\xcb\x00\x00\x00\x00\x00\x00\x00\x00\x90"), [pack(b"1")]],
        [0, pack(b"\x92\x90\x90"), []],
        [1, b"", []],
    ],
    ids=["none", "another size", "no piece", "fewer sizes", "of no frames", "no head"],
)
def test_pieces_that_do_not_belong_together_are_damage(contents: list[object]) -> None:
    blob = signed(msgspec.msgpack.encode(contents))
    for read in (unpack_frames, lambda blob: newest_packed(blob, 0.0, 1.0)):
        with pytest.raises(DamageError):
            read(blob)


def test_what_lies_behind_the_newest_is_not_unpacked() -> None:
    frames = [Frame(1.0, b"first"), Frame(2.0, bytes(STREAMED_WINDOW_MAX - MIB))]
    blob = pack_frames(frames)
    tracemalloc.start()
    try:
        assert newest_packed(blob, 0.0, 1.5) == frames[0]
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4 * MIB


def test_one_among_large_ones_is_found_all_the_same() -> None:
    frames = [Frame(1.0, b"first"), Frame(2.0, bytes(STREAMED_WINDOW_MAX)), Frame(3.0, b"last")]
    blob = pack_frames(frames)
    assert [newest_packed(blob, 0.0, until) for until in (0.5, 1.5, 3.5)] == [None, frames[0], frames[2]]
    assert unpack_frames(blob, 1.5) == frames[1:]


def test_of_a_range_no_other_frame_is_in_memory() -> None:
    blob = pack_frames([Frame(float(number), bytes([number]) * MIB) for number in range(32)])
    tracemalloc.start()
    try:
        found = unpack_frames(blob, 10.0, 11.0)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == [Frame(10.0, b"\n" * MIB), Frame(11.0, b"\x0b" * MIB)]
    assert unpack_frames(blob, 40.0, 50.0) == []
    assert peak_bytes < 8 * MIB


def test_moments_in_a_row_take_little_beside_the_first() -> None:
    moments = list(series(1e9, 60, blocks=True))
    assert len(packed(moments)) < len(packed(moments[:1])) + 40 * len(moments)


def test_a_body_that_is_no_moment_is_damage() -> None:
    with pytest.raises(DamageError):
        to_moment(b"\xc0")


def forged(times: Sequence[float], sizes: Sequence[int], body: bytes) -> bytes:
    """A blob whose head says what it likes, with every checksum right."""
    head = msgspec.msgpack.encode((times, sizes))
    return pack(struct.pack("<I", len(head)) + head + body)


@pytest.mark.fault(54)
@pytest.mark.parametrize("sizes", [[MIB, -MIB] * 400, [MIB] * 800, [-1] * 800, [2 * MIB], [MIB - 1], [1 << 62], []])
def test_row_54_a_head_that_lies_about_its_frames_is_damage_and_takes_no_memory(sizes: list[int]) -> None:
    blob = forged([1e9] * max(1, len(sizes)), sizes, bytes(MIB))
    assert len(blob) < 8192
    tracemalloc.start()
    try:
        for read in (unpack_frames, lambda blob: newest_packed(blob, 0.0, 2e9)):
            with pytest.raises(DamageError):
                read(blob)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4 * MIB


@pytest.mark.fault(54)
def test_row_54_a_head_of_millions_of_frames_is_damage() -> None:
    blob = forged([0.0] * (FRAMES_MAX + 1), [0] * (FRAMES_MAX + 1), b"")
    for read in (unpack_frames, lambda blob: newest_packed(blob, 0.0, 1.0)):
        with pytest.raises(DamageError):
            read(blob)


@pytest.mark.parametrize("body", [b"", b"\x01", b"\xff\xff\xff\xff", b"\x05\x00\x00\x00\x92\x90"])
def test_a_head_that_is_cut_short_is_damage(body: bytes) -> None:
    for read in (unpack_frames, lambda blob: newest_packed(blob, 0.0, 1.0)):
        with pytest.raises(DamageError):
            read(pack(body))


def test_as_many_of_the_smallest_moments_as_are_packed_together_can_be_read() -> None:
    smallest = to_bytes(Moment(seq=0, timestamp=0.0, taken_at=0.0, host="", samples=(), sources=()))
    assert BATCH_BYTES // len(smallest) + 1 <= FRAMES_MAX
    assert BLOCK_BYTES_MAX // len(smallest) + 1 <= FRAMES_MAX


def test_frames_are_views_of_what_they_were_unpacked_from() -> None:
    first, second = unpack_frames(packed([moment(), moment()]))
    assert isinstance(first.body, memoryview)
    assert isinstance(second.body, memoryview)
    assert first.body.obj is second.body.obj
