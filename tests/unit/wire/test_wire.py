"""Framing between processes: any cut of the stream gives the same frames; any broken header is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox import wire
from blackbox.wire import FrameKind, Unpacker, WireError, pack

payloads = st.lists(st.tuples(st.sampled_from(list(FrameKind)), st.binary(max_size=200)), max_size=6)


@given(payloads, st.data())
def test_frames_survive_any_cut_of_the_stream(sent: list[tuple[FrameKind, bytes]], data: st.DataObject) -> None:
    stream = b"".join(pack(kind, payload) for kind, payload in sent)
    unpacker, received = Unpacker(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        received += unpacker.feed(stream[:cut])
        stream = stream[cut:]
    assert received == sent


@given(st.binary(min_size=wire.HEADER.size, max_size=64))
def test_garbage_is_refused_and_never_grows(garbage: bytes) -> None:
    if garbage.startswith(wire.MAGIC):
        garbage = b"x" + garbage
    with pytest.raises(WireError):
        list(Unpacker().feed(garbage))


def test_a_length_above_the_cap_is_refused_before_it_is_read() -> None:
    header = wire.HEADER.pack(wire.MAGIC, wire.VERSION, FrameKind.SAMPLE, wire.MAX_PAYLOAD_BYTES + 1)
    with pytest.raises(WireError, match="exceeds"):
        list(Unpacker().feed(header))
    with pytest.raises(WireError, match="exceeds"):
        pack(FrameKind.SAMPLE, bytes(wire.MAX_PAYLOAD_BYTES + 1))


def test_another_version_is_refused_by_name() -> None:
    header = wire.HEADER.pack(wire.MAGIC, wire.VERSION + 1, FrameKind.SAMPLE, 0)
    with pytest.raises(WireError, match="version 2, this side speaks 1"):
        list(Unpacker().feed(header))


def test_what_a_frame_says_may_change_how_the_next_is_taken() -> None:
    unpacker = Unpacker(payload_bytes_max=8)
    taken = []
    for frame in unpacker.feed(pack(FrameKind.HELLO, b"short") + pack(FrameKind.REPORT, bytes(100))):
        taken.append(frame)
        unpacker.payload_bytes_max = 1000
    assert [len(frame.payload) for frame in taken] == [5, 100]
    with pytest.raises(WireError, match="exceeds"):
        list(Unpacker(payload_bytes_max=8).feed(pack(FrameKind.HELLO, b"short") + pack(FrameKind.REPORT, bytes(100))))
