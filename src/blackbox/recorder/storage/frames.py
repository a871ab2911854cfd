"""Whole moments as bytes: alone, or many in one blob, compressed together.

Alone: f64 Unix seconds, then msgpack of `Moment`. Together: u32 length of the head, the head (msgpack of
[[Unix seconds, ...], [bytes, ...]]), then the moments' msgpack, one after the other. All little-endian.

In pieces: behind a checksum, msgpack of [moments of a piece, packed head, [packed piece, ...]], where all pieces but
the first are packed with the first moment as their key. One moment is unpacked without the pieces before it.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain, groupby, islice
from typing import Annotated, NamedTuple

import msgspec

from blackbox.model.decoding import DECODE_ERRORS
from blackbox.model.moment import Moment
from blackbox.recorder.storage.block_lists import packed_blocks
from blackbox.recorder.storage.compression import (
    DamageError,
    PackedReader,
    is_packed,
    pack,
    pack_parts,
    signed,
    unpack,
    unsigned,
)

FRAMES_MAX = 1 << 18
"""In one blob. Writers pack 8 MiB at a time, and the smallest moment takes 70 bytes."""
ALIKE_MOMENTS = 4
"""A moment repeats the one before it, so no more need be looked back over."""
PIECE_FRAMES = 30
"""In a piece. Half as many take 3 % more bytes and are unpacked 0.1 ms sooner."""
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


class _Pieces(NamedTuple):
    each: Annotated[int, msgspec.Meta(ge=1)]
    head: bytes
    packed: Annotated[list[bytes], msgspec.Meta(max_length=FRAMES_MAX)]


_head_encoder = msgspec.msgpack.Encoder()
_head_decoder = msgspec.msgpack.Decoder(_Head)
_pieces_decoder = msgspec.msgpack.Decoder(_Pieces)


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


def pack_pieces(times: Sequence[float], sizes: Sequence[int], bodies: Iterable[bytes | memoryview]) -> bytes:
    """The same in pieces."""
    rest, alike_within = iter(bodies), ALIKE_MOMENTS * max(sizes, default=0)
    first = list(islice(rest, 1))
    rest, packed = chain(first, rest), list[bytes]()
    for start in range(0, len(sizes), PIECE_FRAMES):
        size = sum(sizes[start : start + PIECE_FRAMES])
        packed.append(pack_parts(islice(rest, PIECE_FRAMES), size, alike_within, first[0] if start else None))
    head = pack(_head_encoder.encode((times, sizes)))
    return signed(_head_encoder.encode(_Pieces(PIECE_FRAMES, head, packed)))


def unpack_frames(blob: object, since: float = float("-inf"), until: float = float("inf")) -> list[Frame]:
    """The frames in a blob, or those of a range: of the others none is in memory. Raises `DamageError`."""
    packed = _packed_in(blob)
    return list(packed.frames([number for number, time in enumerate(packed.head.times) if since <= time <= until]))


def newest_packed(blob: object, since: float, until: float) -> Frame | None:
    """The last of the frames in a blob with a time in the range; those behind it are not unpacked. Raises
    `DamageError`."""
    packed = _packed_in(blob)
    times = packed.head.times
    numbers = [number for number, time in enumerate(times) if since <= time <= until]
    return next(packed.frames([max(numbers, key=times.__getitem__)])) if numbers else None


class _PackedFrames(NamedTuple):
    """Frames of a blob, whose bodies are unpacked as they are asked for."""

    head: _Head
    each: int
    """Frames of a piece."""
    reader: Callable[[int], PackedReader]
    """Of a piece by its number, at its first body."""

    def frames(self, numbers: Iterable[int]) -> Iterator[Frame]:
        """Those of these numbers, which ascend. To be asked once. Raises `DamageError`."""
        for piece, of_piece in groupby(numbers, lambda number: number // self.each):
            yield from self._of_piece(self.reader(piece), piece * self.each, list(of_piece))

    def _of_piece(self, packed: PackedReader, start: int, numbers: Sequence[int]) -> Iterator[Frame]:
        times, sizes = self.head
        if len(numbers) == len(sizes[start : start + self.each]):  # all of it, in one object
            whole = memoryview(packed.read(sum(sizes[start : start + self.each])))
            ends = accumulate(sizes[start : start + self.each])
            yield from (
                Frame(times[one], whole[end - sizes[one] : end]) for one, end in zip(numbers, ends, strict=True)
            )
            return
        for number in numbers:
            packed.skip(sum(sizes[start:number]))
            yield Frame(times[number], packed.read(sizes[number]))
            start = number + 1


def _packed_in(blob: object) -> _PackedFrames:
    """Those of a blob of either kind. Raises `DamageError`."""
    if is_packed(blob):
        together = PackedReader(blob)

        def all_together(_: int) -> PackedReader:
            return together

        return _PackedFrames(_head_of(together), FRAMES_MAX, all_together)
    try:
        each, head, packed = _pieces_decoder.decode(unsigned(blob))
        times, sizes = _head_decoder.decode(unpack(head))
    except DECODE_ERRORS as error:
        raise DamageError(f"frames in pieces: {error}") from error
    if len(times) != len(sizes) or len(packed) != -(-len(times) // each):
        raise DamageError("frames in pieces: the head belongs to others")

    def reader(piece: int) -> PackedReader:
        found = PackedReader(packed[piece], reader(0).read(sizes[0]) if piece else None)
        if found.size != sum(sizes[piece * each : (piece + 1) * each]):
            raise DamageError("frames in pieces: one of another size")
        return found

    return _PackedFrames(_Head(times, sizes), each, reader)


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
