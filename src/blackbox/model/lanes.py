"""Arithmetic on whole arrays of 64-bit numbers at once: an array is one long integer, whose lanes do not disturb each
other as long as no number reaches 2**63. 15,000 subtractions take 0.1 ms instead of 2 ms."""

from __future__ import annotations  # arrays take no parameter at run time before Python 3.12

from array import array
from functools import lru_cache
from typing import TypeAlias

LANE_BYTES = 8
_TOP_BIT = 63
_LANE_BITS = 64
_WIDTHS = (1, 2, 4)
_UNUSED_BITS = 9
"""Low bits of an address, which are 0: blocks begin at multiples of 512 bytes."""
_MIXER = 0x9E3779
"""2**24 times the golden ratio: multiples of it leave the most even remainders."""
_MIXED_BITS = _TOP_BIT - _MIXER.bit_length()
"""The bits of a number that can be multiplied by it within a lane."""
_MIXED_BYTE = 3
"""The byte of the product in which every low bit of the number counts, and those above."""
IntArray: TypeAlias = "array[int]"


class Lanes:
    """An array of type Q as one integer."""

    __slots__ = ("_count", "_stored", "_top", "_whole")

    def __init__(self, whole: int, count: int, stored: bytes | None = None) -> None:
        """`stored`: the same as bytes, where they are at hand."""
        self._whole = whole
        self._count = count
        self._stored = stored
        self._top = _top_bits(count)

    @classmethod
    def of(cls, numbers: IntArray) -> Lanes:
        """The array as lanes."""
        stored = numbers.tobytes()
        return cls(int.from_bytes(stored, "little"), len(numbers), stored)

    def tobytes(self) -> bytes:
        """The array, as its own `tobytes`."""
        if self._stored is None:
            self._stored = self._whole.to_bytes(LANE_BYTES * self._count, "little")
        return self._stored

    @property
    def large(self) -> int:
        """How many numbers reach 2**63."""
        return (self._whole & self._top).bit_count()

    def are_multiples_of(self, power: int) -> bool:
        """Whether every number is one; of a power of 2, below 2**64."""
        return not self._whole & _bits(self._count, power.bit_length() - 1)

    def has_zero(self) -> bool:
        """Whether a number is 0, or one reaches 2**63."""
        return self.less(Lanes(_ones(self._count), self._count)) is None

    def marks(self, one_of: int) -> bytes:
        """A byte for each number that says nothing of its neighbours; of about `one_of` (a power of 2, at most 256)
        different numbers one has 0."""
        mixed = (self._whole >> _UNUSED_BITS & _bits(self._count, _MIXED_BITS)) * _MIXER
        found = mixed.to_bytes(LANE_BYTES * self._count, "little")[_MIXED_BYTE::LANE_BYTES]
        return found.translate(bytes(byte % one_of for byte in range(256)))

    def distances(self, sizes: Lanes) -> Lanes | None:
        """The distance of each number from the number before and its size; 0 for the first. None where one would be
        below 0, or a number reaches 2**63."""
        if not self._count:
            return self
        if (self._whole | sizes._whole) & self._top:
            return None
        following = self._whole >> _LANE_BITS
        ends = (self._whole + sizes._whole) & _all_bits(self._count - 1)
        if following == ends:  # nothing lies between them, as in a segment
            return Lanes(0, self._count)
        found = following - ends
        if ends & self._top or found < 0 or found & self._top:
            return None
        return Lanes(found << _LANE_BITS, self._count)

    def less(self, other: Lanes) -> Lanes | None:
        """The numbers less those of another array; None where one would be below 0, or one reaches 2**63."""
        if (self._whole | other._whole) & self._top:
            return None
        return self._less(other._whole)

    def less_where_told(self, other: Lanes) -> Lanes | None:
        """The numbers less those of another array, 0 where that has all bits set; None where one would be below 0, or
        another reaches 2**63."""
        marks = other._whole & self._top
        if not marks:
            return self.less(other)
        if self._whole & self._top:
            return None
        untold = (marks << 1) - (marks >> _TOP_BIT)
        # those not told are all bits less themselves: 0, unless they are none that stand for that
        found = Lanes(self._whole | untold, self._count)._less(other._whole)
        return None if found is None or found._whole & untold else found

    def _less(self, other: int) -> Lanes | None:
        """A number that would be below 0 borrows from the next, and has its own highest bit set."""
        found = self._whole - other
        return None if found < 0 or found & self._top else Lanes(found, self._count)

    def planes(self) -> tuple[bytes, ...]:
        """The lowest byte of every number, then the next of every number, and so on, up to the last that is not 0
        everywhere."""
        if not self._whole:
            return ()
        stored = self.tobytes()
        width = next((width for width in _WIDTHS if not self._whole & _above(self._count, width)), LANE_BYTES)
        planes = [stored[place::LANE_BYTES] for place in range(width)]
        while planes and planes[-1] == bytes(self._count):
            planes.pop()
        return tuple(planes)


@lru_cache(maxsize=16)
def _above(count: int, width: int) -> int:
    """All bits of every number but those of its lowest bytes."""
    mask = (1 << _LANE_BITS) - (1 << 8 * width)
    return int.from_bytes(mask.to_bytes(LANE_BYTES, "little") * count, "little")


@lru_cache(maxsize=8)
def _ones(count: int) -> int:
    return int.from_bytes((1).to_bytes(LANE_BYTES, "little") * count, "little")


@lru_cache(maxsize=16)
def _bits(count: int, bits: int) -> int:
    """The lowest bits of every number."""
    return int.from_bytes(((1 << bits) - 1).to_bytes(LANE_BYTES, "little") * count, "little")


@lru_cache(maxsize=8)
def _all_bits(count: int) -> int:
    """All bits of every number."""
    return (1 << _LANE_BITS * count) - 1


@lru_cache(maxsize=8)
def _top_bits(count: int) -> int:
    return int.from_bytes((1 << _TOP_BIT).to_bytes(LANE_BYTES, "little") * count, "little")
