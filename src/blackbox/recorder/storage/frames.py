"""Whole moments as bytes: alone, or many in one blob, compressed together.

Alone: f64 Unix seconds, then msgpack of `Moment`. Together: u32 length of the head, the head (msgpack of
[[Unix seconds, ...], [bytes, ...]]), then the moments' msgpack, one after the other. All little-endian.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import Annotated, NamedTuple

import msgspec

from blackbox.model.decoding import DECODE_ERRORS
from blackbox.model.moment import Moment
from blackbox.recorder.storage.block_lists import packed_blocks
from blackbox.recorder.storage.compression import DamageError, PackedReader, pack_parts

FRAMES_MAX = 1 << 18
"""In one blob. Writers pack 8 MiB at a time, and the smallest moment takes 70 bytes."""
ALIKE_MOMENTS = 4
"""A moment repeats the one before it, so no more need be looked back over."""
_LENGTH = struct.Struct("<I")
_TIME = struct.Struct("<d")
_moment_encoder = msgspec.msgpack.Encoder(enc_hook=packed_blocks)
_moment_decoder = msgspec.msgpack.Decoder(Moment)


class Frame(NamedTuple):
    """A moment as it is stored."""

    time: float
    """`Moment.timestamp`."""
    body: bytes | memoryview
    """Its msgpack; a view of the blob that it was unpacked from."""

    def alone(self) -> bytes:
        """As it is stored until it is packed together with others."""
        return b"".join((_TIME.pack(self.time), self.body))

    @classmethod
    def from_alone(cls, stored: bytes) -> "Frame":
        """The frame. Raises `DamageError`."""
        if len(stored) < _TIME.size:
            raise DamageError("a frame without time")
        (time,) = _TIME.unpack_from(stored)
        return cls(time, stored[_TIME.size :])


class _Head(NamedTuple):
    times: Annotated[list[float], msgspec.Meta(max_length=FRAMES_MAX)]
    sizes: Annotated[list[Annotated[int, msgspec.Meta(ge=0)]], msgspec.Meta(max_length=FRAMES_MAX)]


_head_encoder = msgspec.msgpack.Encoder()
_head_decoder = msgspec.msgpack.Decoder(_Head)


def to_bytes(moment: Moment) -> bytes:
    """The body of a moment's frame."""
    return _moment_encoder.encode(moment)


def to_moment(body: bytes | memoryview) -> Moment:
    """The moment in a frame's body. Raises `DamageError`."""
    try:
        return _moment_decoder.decode(body)
    except DECODE_ERRORS as error:
        raise DamageError(f"moment: {error}") from error


def moment_of(frame: Frame | None) -> Moment | None:
    """The moment of a frame; None where there is no frame, or it is damaged."""
    if frame is None:
        return None
    try:
        return to_moment(frame.body)
    except DamageError:
        return None


def pack_frames(frames: Sequence[Frame]) -> bytes:
    """Frames in one blob."""
    return pack_bodies(
        [frame.time for frame in frames], [len(frame.body) for frame in frames], (frame.body for frame in frames)
    )


def pack_bodies(times: Sequence[float], sizes: Sequence[int], bodies: Iterable[bytes | memoryview]) -> bytes:
    """The same of frames whose bodies come one by one, so that they need not be in memory together."""
    contents = _head_encoder.encode((times, sizes))
    head = _LENGTH.pack(len(contents)) + contents
    return pack_parts(chain([head], bodies), len(head) + sum(sizes), ALIKE_MOMENTS * max(sizes, default=0))


def unpack_frames(blob: object, since: float = float("-inf"), until: float = float("inf")) -> list[Frame]:
    """The frames in a blob, or those of a range: of the others none is in memory. Raises `DamageError`."""
    packed = PackedReader(blob)
    times, sizes = _head_of(packed)
    if not all(since <= time <= until for time in times):
        return list(_of_range(packed, zip(times, sizes, strict=True), since, until))
    view = memoryview(packed.read(sum(sizes)))
    ends = accumulate(sizes)
    return [Frame(time, view[end - size : end]) for time, size, end in zip(times, sizes, ends, strict=True)]


def _of_range(packed: PackedReader, told: Iterable[tuple[float, int]], since: float, until: float) -> Iterator[Frame]:
    for time, size in told:
        if since <= time <= until:
            yield Frame(time, packed.read(size))
        else:
            packed.skip(size)


def newest_packed(blob: object, since: float, until: float) -> Frame | None:
    """The last of the frames in a blob with a time in the range; those behind it are not unpacked. Raises
    `DamageError`."""
    packed = PackedReader(blob)
    times, sizes = _head_of(packed)
    numbers = [number for number, time in enumerate(times) if since <= time <= until]
    if not numbers:
        return None
    newest = max(numbers, key=times.__getitem__)
    packed.skip(sum(sizes[:newest]))
    return Frame(times[newest], packed.read(sizes[newest]))


def _head_of(packed: PackedReader) -> _Head:
    """The head at the beginning. Raises `DamageError`."""
    (length,) = _LENGTH.unpack(packed.read(_LENGTH.size))
    if length > packed.size:
        raise DamageError("frames: a head of impossible length")
    return _checked_head(packed.read(length), packed.size - _LENGTH.size - length)


def _checked_head(contents: bytes | memoryview, bodies: int) -> _Head:
    """The head of so many bytes of bodies. Raises `DamageError`."""
    try:
        head = _head_decoder.decode(contents)
    except DECODE_ERRORS as error:
        raise DamageError(f"frames: {error}") from error
    if len(head.times) != len(head.sizes) or sum(head.sizes) != bodies:
        raise DamageError("frames: the head belongs to other bodies")
    return head
