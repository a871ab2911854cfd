"""What blocks hold together from point to point, by a kind that each of them is of."""

from array import array
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple, Protocol

_WEIGHT_BITS = 32
"""The weight of a block is bytes and blocks in one number, which takes half as long to add as two: the blocks are the
lower bits."""
_BLOCKS_HALF = 1 << _WEIGHT_BITS - 1


class HeldBlocks(NamedTuple):
    """Blocks that are held at some points."""

    block: "array[int]"
    """Their numbers, of C's `long long`; the others of its `int`."""
    since: "array[int]"
    """The first point at which each is held."""
    until: "array[int]"
    """The first at which it is not any more."""


class BlockKinds(NamedTuple):
    """Blocks by what they have in common."""

    first: Sequence[int]
    """By kind: the first block of it."""
    kind: "array[int]"
    """By place among the blocks: the number of its kind, of C's `int`."""


class Changes(NamedTuple):
    """What is held, as changes from point to point."""

    at: tuple[int, ...]
    """The points where it changes, ascending."""
    bytes: tuple[int, ...]
    """By how much at each of these."""
    blocks: tuple[int, ...]
    """The same in blocks."""


class KindSums(Protocol):
    """What blocks hold, kind by kind."""

    def most(self) -> Sequence[int]:
        """By kind: the most bytes at any point."""
        ...

    def bands(self, band: Sequence[int], count: int) -> Sequence[Changes]:
        """The sums of `count` bands; `band` has by kind the one that it is in."""
        ...


class PlainSums:
    """In Python alone; see `KindSums`."""

    def __init__(self, held: HeldBlocks, size: Sequence[int], kinds: "array[int]", count: int, points: int) -> None:
        self._weights: list[dict[int, int]] = [defaultdict(int) for _ in range(count)]
        """By kind: its changes by point."""
        sizes = map(size.__getitem__, held.block)
        for kind, since, until, bytes_held in zip(kinds, held.since, held.until, sizes, strict=True):
            changes, weight = self._weights[kind], (bytes_held << _WEIGHT_BITS) + 1
            changes[since] += weight
            changes[until] -= weight
        for changes in self._weights:
            changes.pop(points, None)

    def most(self) -> Sequence[int]:
        """See `KindSums`."""
        levels = (accumulate(map(changes.__getitem__, sorted(changes))) for changes in self._weights)
        return [max(level, default=0) >> _WEIGHT_BITS for level in levels]

    def bands(self, band: Sequence[int], count: int) -> Sequence[Changes]:
        """See `KindSums`."""
        sums: list[dict[int, int]] = [defaultdict(int) for _ in range(count)]
        for changes, number in zip(self._weights, band, strict=True):
            into = sums[number]
            for point, weight in changes.items():
                into[point] += weight
        return [_changes(weights) for weights in sums]


def _changes(weights: dict[int, int]) -> Changes:
    at = [point for point in sorted(weights) if weights[point]]
    changed = [weights[point] for point in at]
    blocks = [(weight + _BLOCKS_HALF & (1 << _WEIGHT_BITS) - 1) - _BLOCKS_HALF for weight in changed]
    held = tuple(weight - count >> _WEIGHT_BITS for weight, count in zip(changed, blocks, strict=True))
    return Changes(tuple(at), held, tuple(blocks))
