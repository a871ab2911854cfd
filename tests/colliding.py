"""Names of programs that anybody could give his own, chosen so that a checksum comes out as wanted."""

import zlib
from collections.abc import Callable

NAME_LENGTH = 15
"""The kernel's names of programs are no longer."""
NAMES = 2
_PLAIN = ord("a")
_BITS = 2, 4
"""Of a letter: with each of them flipped or not, "a" is one of a, c, e, g."""

Flips = frozenset[tuple[int, int]]


def names_for(checksum: int, body: Callable[[str, str], bytes]) -> tuple[str, str]:
    """Two names with which the body has this CRC-32. What a flipped bit changes in it does not depend on the others, so
    a change that is wanted is found among the sums of some 32 flips."""
    plain = _checksum(body, frozenset())
    basis: dict[int, tuple[int, Flips]] = {}
    """Length of a change in bits -> the change, and the flips that make it."""

    def reduced(change: int, flips: Flips) -> tuple[int, Flips]:
        while change and change.bit_length() in basis:
            known, made_by = basis[change.bit_length()]
            change, flips = change ^ known, flips ^ made_by
        return change, flips

    for place in range(NAMES * NAME_LENGTH):
        for bit in _BITS:
            flip = frozenset({(place, bit)})
            left, flips = reduced(_checksum(body, flip) ^ plain, flip)
            if left:
                basis[left.bit_length()] = left, flips
    left, flips = reduced(checksum ^ plain, frozenset())
    assert not left, "no names have this checksum"
    return _names(flips)


def _checksum(body: Callable[[str, str], bytes], flips: Flips) -> int:
    return zlib.crc32(body(*_names(flips)))


def _names(flips: Flips) -> tuple[str, str]:
    letters = [_PLAIN] * (NAMES * NAME_LENGTH)
    for place, bit in flips:
        letters[place] ^= bit
    text = bytes(letters).decode()
    return text[:NAME_LENGTH], text[NAME_LENGTH:]
