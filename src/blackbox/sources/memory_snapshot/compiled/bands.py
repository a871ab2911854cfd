"""What blocks hold together from point to point, by compiled code."""

from array import array
from collections.abc import Sequence

from blackbox.analysis.trace.bands import Changes, HeldBlocks, KindSums, PlainSums
from blackbox.sources.memory_snapshot.compiled.address_map import address_of
from blackbox.sources.memory_snapshot.compiled.library import Library

NO_KIND = -1


class CompiledSums:
    """By a library of `bands.c`, see `KindSums`; where a sum is out of the bounds that are kept there, by Python."""

    def __init__(
        self,
        library: Library,
        held: HeldBlocks,
        size: "array[int]",
        kinds: "array[int]",
        count: int,
        points: int,
    ) -> None:
        self._library, self._count, self._points = library, count, points
        self._held, self._size, self._kinds = held, size, kinds
        self._blocks = (*map(address_of, held), len(kinds), address_of(size), address_of(kinds))
        """As the functions of the library take them."""

    def most(self) -> Sequence[int]:
        """See `KindSums`."""
        first, following = array("i", [NO_KIND]) * self._count, array("i", [0]) * len(self._kinds)
        changes, most = array("q", [0]) * (self._points + 1), array("q", [0]) * self._count
        columns = map(address_of, (first, following, changes, most))
        if not self._library.bands_most(*self._blocks, self._count, self._points, *columns):
            return self._plain().most()
        return most

    def bands(self, band: Sequence[int], count: int) -> Sequence[Changes]:
        """See `KindSums`."""
        band_of, row = array("i", band), self._points + 1
        held, blocks = array("q", [0]) * (row * count), array("i", [0]) * (row * count)
        columns = address_of(held), address_of(blocks)
        if not self._library.bands_sums(*self._blocks, address_of(band_of), self._points, *columns):
            return self._plain().bands(band, count)
        return [self._changes(held, blocks, number * row) for number in range(count)]

    def _changes(self, held: "array[int]", blocks: "array[int]", first: int) -> Changes:
        at = array("i", [0]) * self._points
        where = address_of(held) + first * held.itemsize, address_of(blocks) + first * blocks.itemsize
        end = first + self._library.bands_changes(*where, self._points, address_of(at))
        return Changes(tuple(at[: end - first]), tuple(held[first:end]), tuple(blocks[first:end]))

    def _plain(self) -> KindSums:
        return PlainSums(self._held, self._size, self._kinds, self._count, self._points)
