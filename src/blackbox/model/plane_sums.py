"""Arithmetic on columns as they are stored, which are planes: one with the lowest byte of every number, one with the
next of every number, and so on. A plane is one long integer of bytes that do not disturb each other, an eighth as long
as the column, and most columns have few planes. 4,000 subtractions take 0.06 ms."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

NUMBER_BYTES = 8
_LOW, _HIGH = 0x7F, 0x80
_HIGH_PLACE = 7
_WHOLE = b"\0\xff"
"""A byte without a bit, and one with all."""


def less_where_told(numbers: Sequence[bytes], others: Sequence[bytes]) -> tuple[bytes, ...] | None:
    """The planes of `numbers` less `others`, and 0 where one of these has all bits set, which tells none. `numbers` has
    those of its eight planes that are not 0 everywhere, `others` all eight. None where one would be below 0, or one of
    `numbers` reaches 2**56."""
    *lower, untold = others
    if len(numbers) > len(lower) or untold.translate(None, _WHOLE):
        return None
    if any(plane != untold for plane in lower[len(numbers) :]):
        return None
    found = list(_differences(numbers, lower, untold))
    if len(found) < len(numbers):
        return None
    nothing = bytes(len(untold))
    while found and found[-1] == nothing:
        found.pop()
    return tuple(found)


def _differences(numbers: Sequence[bytes], others: Sequence[bytes], untold: bytes) -> Iterator[bytes]:
    """Plane by plane, up to the last; it is left out where a number there is below the other and what was borrowed, and
    the planes end where one that is not told has a bit that is not set."""
    rows = len(untold)
    low, high = _repeated(_LOW, rows), _repeated(_HIGH, rows)
    mask = int.from_bytes(untold, "little")
    borrowed = 0
    for place, (plane, other) in enumerate(zip(numbers, others, strict=False)):
        # all bits less all bits are 0 where nothing is told
        one, two = int.from_bytes(plane, "little") | mask, int.from_bytes(other, "little")
        alike = one ^ two ^ high
        # a byte with its highest bit set has enough for the lower bits of another: that bit is put right afterwards
        less = (one | high) - (two & low) ^ alike & high
        if borrowed:
            less = (less | high) - borrowed ^ (less ^ high) & high
        borrowed = (((one ^ high) & two | alike & less) & high) >> _HIGH_PLACE
        if less & mask or (borrowed and place == len(numbers) - 1):
            return
        yield less.to_bytes(rows, "little")


@lru_cache(maxsize=64)
def _repeated(byte: int, count: int) -> int:
    return int.from_bytes(bytes([byte]) * count, "little")
