"""The passes over the columns of a trace by compiled code, which does plain entries alone: Python does all others, on
the same memory. A trace in which most are others, or whose numbers are out of bounds, is left to Python as a whole."""

import ctypes
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import repeat
from typing import cast

from blackbox.analysis.trace.bands import BlockKinds, HeldBlocks, KindSums
from blackbox.analysis.trace.entries import ALLOC, selecting
from blackbox.analysis.trace.layout import Layout, Segment, Segments
from blackbox.analysis.trace.passes import UNBORN, Alike, Levels, Passes, StackPair
from blackbox.analysis.trace.roll_back import Undo
from blackbox.analysis.trace.roll_forward import NO_BLOCK, Forward
from blackbox.sources.memory_snapshot.compiled.address_map import AddressMap, address_of
from blackbox.sources.memory_snapshot.compiled.bands import CompiledSums
from blackbox.sources.memory_snapshot.compiled.library import UNTOLD, Library, Memory

ADDRESS_END, SIZE_MAX = (1 << 63) - 1 - (1 << 48), 1 << 44
"""As `columns.c` has them."""
NEVER_SPLIT = 1 << 62
"""More than is ever left of a free range."""
OTHERS_MIN, PLAIN_PER_OTHER = 1000, 16
"""Entries that Python does, from which on it does all of them where fewer plain ones were among them."""


PAIRS_MAX = 1 << 16
"""Of stacks; where a trace has more, Python finds them."""
NO_ROOM = -1
"""What a pass returns where there is no memory."""


class CompiledPasses(Passes):
    """By a library of `columns.c`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def undone(self, undo: Undo, first: int) -> Iterator[int]:
        """See `Passes`."""
        if not self._fits(undo):
            yield from super().undone(undo, first)
            return
        maps = [AddressMap(self._library, held) for held in (undo.requested, undo.pending, undo.lasting)]
        undo.requested, undo.pending, undo.lasting = maps
        trace, last, others = undo.trace, undo.trace.steps, 0
        columns = trace.action, address_of(trace.address), address_of(trace.size)
        while True:
            last = self._library.undo(*columns, last, first, *(one.map for one in maps))
            if last < 0:
                raise MemoryError
            if last <= first:
                return
            others += 1
            if others > OTHERS_MIN and (trace.steps - last) < others * PLAIN_PER_OTHER:
                undo.requested, undo.pending, undo.lasting = (one.plain() for one in maps)
                yield from undo.entries(last, first)
                return
            yield from undo.entries(last, last - 1)
            last -= 1

    def forward(self, run: Forward) -> Iterator[int]:
        """See `Passes`."""
        trace, first, others = run.trace, run.start.first, 0
        place = first
        if not self._fits(run):
            yield from super().forward(run)
            return
        memory = _HeldMemory(self._library, run)
        columns = trace.action, address_of(trace.address), address_of(trace.size)
        while True:
            told = ctypes.byref(memory.told)
            place: int = self._library.forward(*columns, place, trace.steps, trace.steps, told)
            if place < 0:
                raise MemoryError
            if place >= trace.steps:
                break
            if trace.action[place] == ALLOC and memory.learns(trace.size[place]):
                continue
            others += 1
            if others > OTHERS_MIN and (place - first) < others * PLAIN_PER_OTHER:
                memory.give_back()
                yield from run.entries(place)
                return
            yield from run.entries(place, place + 1)
            if trace.action[place] == ALLOC:
                memory.look_at_owner(trace.address[place])
            place += 1
        memory.give_back()

    def levels(self, run: Forward, before: tuple[int, int, int]) -> Levels:
        """See `Passes`. Raises `OverflowError`."""
        trace, first = run.trace, run.start.first
        block, size = run.block, run.size
        if not (is_packed(block) and is_packed(size)) or max(before) > NEVER_SPLIT:
            return super().levels(run, before)
        allocated, active, reserved = (array("q", [level]) * (trace.steps - first + 1) for level in before)
        freed, completed = (array("q", [trace.steps]) * len(size) for _ in range(2))
        done = self._library.levels(
            trace.action,
            address_of(trace.size),
            address_of(block),
            first,
            trace.steps,
            address_of(size),
            len(size),
            *map(address_of, (allocated, active, reserved, freed, completed)),
        )
        if not done:  # a sum is out of the bounds that are kept there
            return super().levels(run, before)
        return Levels(allocated, active, reserved, freed, completed)

    def there(self, action: bytes, gone: Sequence[int], first: int, last: int) -> Iterable[int]:
        """See `Passes`."""
        if not is_packed(gone):
            return super().there(action, gone, first, last)
        found = array("q", [0]) * (last - first)
        return found[: self._library.there(action, address_of(gone), first, last, last, address_of(found))]

    def lives(self, action: bytes, freed: Sequence[int], first: int, after: "array[int]", points: int) -> HeldBlocks:
        """See `Passes`."""
        if not is_packed(freed):
            return super().lives(action, freed, first, after, points)
        room = action.count(ALLOC)
        block, since, until = array("q", [0]) * room, array("i", [0]) * room, array("i", [0]) * room
        columns = [address_of(column) for column in (block, since, until)]
        count = self._library.lives(action, address_of(freed), first, len(action), address_of(after), points, *columns)
        return HeldBlocks(block[:count], since[:count], until[:count])

    def sums(self, held: HeldBlocks, size: Sequence[int], kinds: "array[int]", count: int, points: int) -> KindSums:
        """See `Passes`."""
        if not is_packed(size):
            return super().sums(held, size, kinds, count, points)
        return CompiledSums(self._library, held, cast("array[int]", size), kinds, count, points)

    def alike(self, blocks: "array[int]", clues: Alike) -> BlockKinds:
        """See `Passes`."""
        stack, freed = clues.stack, clues.freed
        if not _is_numbers(stack) or not (clues.codes is None or is_packed(freed)):
            return super().alike(blocks, clues)
        codes, alone = (None, None) if clues.codes is None else (clues.all_codes(), selecting(clues.alone))
        kinds, first = array("i", [0]) * len(blocks), array("q", [0]) * len(blocks)
        known, gone = AddressMap(self._library, {}), address_of(freed) if codes else None
        told = codes, alone, gone, len(codes or b"") - 1, clues.first_step, known.map
        into = address_of(kinds), address_of(first)
        count: int = self._library.bands_alike(
            address_of(blocks), len(blocks), clues.until, address_of(stack), *told, *into
        )
        if count == NO_ROOM:
            raise MemoryError
        return BlockKinds(first[:count], kinds)

    def renumbered(self, numbers: "array[int]", table: Sequence[int]) -> "array[int]":
        """See `Passes`."""
        found, told = numbers[:], array("i", table)
        self._library.bands_renumber(address_of(found), len(found), address_of(told))
        return found

    def highest(self, levels: Sequence[int]) -> int:
        """See `Passes`."""
        if not (is_packed(levels) and levels):
            return super().highest(levels)
        highest, _ = self.extremes(levels, len(levels))
        return highest

    def extremes(self, levels: Sequence[int], length: int) -> Iterable[int]:
        """See `Passes`."""
        if not is_packed(levels):
            return super().extremes(levels, length)
        highest, lowest = (array("q", [0]) * -(-len(levels) // length) for _ in range(2))
        self._library.extremes(address_of(levels), len(levels), length, address_of(highest), address_of(lowest))
        return *highest, *lowest

    def pairs(
        self, action: bytes, address: Sequence[int], stack: "array[int]"
    ) -> "tuple[Sequence[StackPair], array[int]]":
        """See `Passes`."""
        if not is_packed(address):
            return super().pairs(action, address, stack)
        pair, first, second = (array("i", [0]) * room for room in (len(action), PAIRS_MAX, PAIRS_MAX))
        born, known = AddressMap(self._library, {}), AddressMap(self._library, {})
        columns = action, address_of(address), address_of(stack), len(action)
        found = (address_of(column) for column in (pair, first, second))
        count: int = self._library.pairs(*columns, born.map, known.map, *found, PAIRS_MAX)
        if count == NO_ROOM:
            raise MemoryError
        if count < 0:
            return super().pairs(action, address, stack)
        return list(zip(first[:count], second[:count], strict=True)), pair

    def told(
        self,
        action: bytes,
        codes: Collection[int],
        column: Sequence[int],
        tell: Callable[[int], int],
        found: "array[int]",
        first: int = 0,
    ) -> None:
        """See `Passes`."""
        if not _is_numbers(column):
            super().told(action, codes, column, tell, found, first)
            return
        wanted, at, into = selecting(codes), address_of(column), address_of(found)
        table = array("i")
        while True:
            known = address_of(table), UNBORN, len(table), found.itemsize
            first = self._library.told_of(action, wanted, at, first, len(action), *known, into)
            if first >= len(action):
                return
            number = column[first]
            table.extend(repeat(UNTOLD, number + 1 - UNBORN - len(table)))
            table[number - UNBORN] = tell(number)

    def ascend(self, column: Sequence[int]) -> bool:
        """See `Passes`."""
        return (
            bool(self._library.ascend(address_of(column), len(column))) if is_packed(column) else super().ascend(column)
        )

    def has_negative(self, column: Sequence[int]) -> bool:
        """See `Passes`."""
        if not is_packed(column):
            return super().has_negative(column)
        return bool(self._library.negative(address_of(column), len(column)))

    def _fits(self, one: Undo | Forward) -> bool:
        """Whether its numbers are in bounds."""
        trace, end = one.trace, one.end
        address, size = trace.address, trace.size
        if not (is_packed(address) and is_packed(size) and _is_in_bounds(end)):
            return False
        return bool(self._library.fit(address_of(address), address_of(size), trace.steps))


class _HeldMemory:
    """The memory of a run, held where compiled code finds it."""

    def __init__(self, library: Library, run: Forward) -> None:
        self._run = run
        borders, self._large = AddressMap(library, dict.fromkeys(run.segments.at, 1)), AddressMap(library, {})
        run.segments = _Bordered(run.segments, borders, self._large)
        gaps = run.gaps
        gaps.segments = run.segments
        gaps.ends, gaps.starts = AddressMap(library, gaps.ends), AddressMap(library, gaps.starts)
        run.live, run.rooms = AddressMap(library, run.live), AddressMap(library, run.rooms)
        self._rounded, self._rests = AddressMap(library, {}), AddressMap(library, {})
        run.block = array("q", [NO_BLOCK]) * len(run.block)  # nothing is done yet: of blocks, only those of the start
        run.size = array("q", [0]) * run.trace.steps + array("q", run.size[run.trace.steps :])  # have a size
        self._maps = gaps.ends, gaps.starts, run.live, run.rooms, borders, self._rounded, self._rests, self._large
        columns = address_of(run.block), address_of(run.size)
        self.told = Memory(*(one.map for one in self._maps), *columns, len(run.size))

    def learns(self, asked: int) -> bool:
        """The size of the block for a request; False where it is known."""
        if asked in self._rounded:
            return False
        needed = self._run.rules.rounded(asked)
        rest_min = self._run.rules.rest_min(needed)
        self._rounded[asked], self._rests[asked] = needed, int(min(rest_min, NEVER_SPLIT))
        return True

    def look_at_owner(self, address: int) -> None:
        """Remembers an address that is in a segment of the large pool, as long as no segment goes."""
        owner = self._run.segments.containing(address)
        if owner is not None and not self._run.segments.at[owner].small:
            self._large[address] = 1

    def give_back(self) -> None:
        """From now on Python alone does what is left."""
        run, gaps = self._run, self._run.gaps
        gaps.ends, gaps.starts, run.live, run.rooms = (one.plain() for one in self._maps[:4])


class _Bordered(Segments):
    """Segments whose beginnings are held there, too; once one of them goes, no address is known any more to be in one
    of the large pool."""

    def __init__(self, segments: Segments, borders: AddressMap, large: AddressMap) -> None:
        super().__init__(segments.at)
        self._borders, self._large = borders, large

    def add(self, start: int, segment: Segment) -> None:
        super().add(start, segment)
        self._borders[start] = 1

    def remove(self, start: int, size: int) -> Segment:
        removed = super().remove(start, size)
        del self._borders[start]
        self._large.clear()
        return removed


def is_packed(column: Sequence[int]) -> bool:
    """Whether compiled code can read it."""
    return isinstance(column, array) and column.typecode == "q"  # pyright: ignore[reportUnknownMemberType]


def _is_numbers(column: Sequence[int]) -> bool:
    """The same of numbers of stacks and the like."""
    return isinstance(column, array) and column.typecode == "i"  # pyright: ignore[reportUnknownMemberType]


def _is_in_bounds(end: Layout) -> bool:
    """Of what the file tells of the end, where anything may stand."""
    try:
        array("q", end.requested)
    except (TypeError, OverflowError):
        return False
    starts = *end.segments, *end.address
    sizes = *(segment.size for segment in end.segments.values()), *end.size
    are_whole = all(type(number) is int for number in (*starts, *sizes))
    return are_whole and all(0 <= at < ADDRESS_END for at in starts) and all(0 <= size <= SIZE_MAX for size in sizes)
