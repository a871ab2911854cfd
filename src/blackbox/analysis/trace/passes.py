"""The passes over a trace that look at each of its entries: in Python, which is always there, or whatever is faster."""

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, compress, count, repeat
from operator import lt, mul
from typing import NamedTuple

from blackbox.analysis.trace.bands import BlockKinds, HeldBlocks, KindSums, PlainSums
from blackbox.analysis.trace.entries import (
    ALLOC,
    FREE_COMPLETED,
    FREE_REQUESTED,
    SEGMENT_ALLOC,
    SEGMENT_FREE,
    SEGMENT_MAP,
    SEGMENT_UNMAP,
    Trace,
    places_of,
    selecting,
)
from blackbox.analysis.trace.roll_back import Undo, undone
from blackbox.analysis.trace.roll_forward import Forward

ALLOCATED, ACTIVE = {ALLOC: 1, FREE_REQUESTED: -1}, {ALLOC: 1, FREE_COMPLETED: -1}
RESERVED = {SEGMENT_ALLOC: 1, SEGMENT_MAP: 1, SEGMENT_FREE: -1, SEGMENT_UNMAP: -1}
"""By action: the sign of the change in what is allocated, active, or reserved."""


NUMBERS_AT_ONCE = 1 << 16
"""Compared: a list of so many takes two megabytes."""
UNBORN = -2
"""Stands for the stack of a block whose allocation the trace does not have."""
NEVER_FREED = b"\xff"
"""No part of a step."""


class Levels(NamedTuple):
    """What a run has come to, entry by entry."""

    allocated: Sequence[int]
    """Bytes before the first entry, and after it and each that follows."""
    active: Sequence[int]
    reserved: Sequence[int]
    freed: Sequence[int]
    """By block: the entry that frees it; as many as the trace has where none does."""
    completed: Sequence[int]
    """The same of the entry that completes that."""


StackPair = tuple[int, int]


class Alike(NamedTuple):
    """What tells blocks apart, column by column."""

    until: int
    """Blocks from it on are each of its own kind."""
    stack: Sequence[int]
    codes: bytes | bytearray | None = None
    """By entry: the part of a step. None: stacks alone tell blocks apart."""
    alone: frozenset[int] = frozenset()
    """Blocks that are born in one of these parts are each of its own kind."""
    freed: Sequence[int] = ()
    """By block: the entry that frees it, or how many entries there are."""
    first_step: int = 0
    """Blocks before it are told from those that come after."""

    def all_codes(self) -> bytes:
        """The parts of a step by entry, and at the end what stands for the one of what nothing frees."""
        return bytes(self.codes or b"") + NEVER_FREED


class Passes:
    """In Python alone. What is faster tells the same."""

    def undone(self, undo: Undo, first: int) -> Iterator[int]:
        """Undoes all entries down to `first`; yields the places of those that are of segments. Raises
        `InconsistentError`."""
        return undone(undo, first)

    def forward(self, run: Forward) -> Iterator[int]:
        """Does all entries of a run that has begun; yields the places of those that are of segments. Raises
        `InconsistentError`."""
        return run.entries(run.start.first)

    def levels(self, run: Forward, before: tuple[int, int, int]) -> Levels:
        """Of a run that is through; `before` is what was allocated, active and reserved at its beginning."""
        trace, first, block = run.trace, run.start.first, run.block
        action = trace.action[first:]
        sizes = list(map(run.size.__getitem__, block[first:] if first else block))
        freed, completed = (array("q", [trace.steps]) * len(run.size) for _ in range(2))
        for column, code in ((freed, FREE_REQUESTED), (completed, FREE_COMPLETED)):
            for place in places_of(trace.action, (code,), first):
                column[block[place]] = place
        allocated, active, reserved = before
        return Levels(
            _levels(allocated, action, sizes, ALLOCATED),
            _levels(active, action, sizes, ACTIVE),
            _reserved(reserved, trace, first),
            freed,
            completed,
        )

    def there(self, action: bytes, gone: Sequence[int], first: int, last: int) -> Iterable[int]:
        """The allocations from `first` on, before `last`, that no entry before that takes away: `gone` has by block the
        one that does."""
        made = places_of(action, (ALLOC,), first, last)
        return compress(made, map(last.__le__, map(gone.__getitem__, made)))

    def lives(self, action: bytes, freed: Sequence[int], first: int, after: "array[int]", points: int) -> HeldBlocks:
        """The allocations from `first` on that are held at one of so many points; `after` has by entry from there on,
        and for their end, the first point that has it (of C's `int`), `freed` by block the entry that frees it."""
        made = places_of(action, (ALLOC,), first)
        begun, gone = list(made), list(map(freed.__getitem__, made))
        if first:
            begun, gone = ([place - first for place in places] for places in (begun, gone))
        ends = array("i", after)
        ends[-1] = points  # of those that are never freed
        since = list(map(after.__getitem__, begun))
        until = list(map(ends.__getitem__, gone))
        is_held = list(map(lt, since, until))
        block = array("q", compress(made, is_held))
        return HeldBlocks(block, *(array("i", compress(points, is_held)) for points in (since, until)))

    def sums(self, held: HeldBlocks, size: Sequence[int], kinds: "array[int]", count: int, points: int) -> KindSums:
        """What blocks hold at so many points, `kinds` having by place in `held` which of `count` kinds each is of;
        `size` is by block."""
        return PlainSums(held, size, kinds, count, points)

    def alike(self, blocks: "array[int]", clues: Alike) -> BlockKinds:
        """Blocks by kind: of those of one kind the same is told."""
        stack, until = clues.stack, clues.until
        if clues.codes is None:
            told: list[object] = [stack[block] if block < until else (block,) for block in blocks]
        else:
            codes, freed, alone, begun = clues.all_codes(), clues.freed, clues.alone, clues.first_step
            told = [
                (stack[block], born, codes[freed[block]], block < begun)
                if block < until and (born := codes[block]) not in alone
                else block
                for block in blocks
            ]
        numbers = {clue: number for number, clue in enumerate(dict.fromkeys(told))}
        first = dict(zip(reversed(told), reversed(blocks), strict=True))
        return BlockKinds([first[clue] for clue in numbers], array("i", map(numbers.__getitem__, told)))

    def renumbered(self, numbers: "array[int]", table: Sequence[int]) -> "array[int]":
        """What a table tells of each number."""
        return array("i", map(table.__getitem__, numbers))

    def highest(self, levels: Sequence[int]) -> int:
        """The place of the highest level, the first of its kind."""
        return levels.index(max(levels))

    def extremes(self, levels: Sequence[int], length: int) -> Iterable[int]:
        """The places of the highest and of the lowest of each stretch of so many levels, each the first of its kind."""
        for start in range(0, len(levels), length):
            stretch = levels[start : start + length]
            yield start + stretch.index(max(stretch))
            yield start + stretch.index(min(stretch))

    def pairs(
        self, action: bytes, address: Sequence[int], stack: "array[int]"
    ) -> "tuple[Sequence[StackPair], array[int]]":
        """The pairs of stacks of allocations and of their frees, each once, in the order of the frees: that of the
        allocation last made at the address which is not freed yet, `UNBORN` where there is none, and that of the free;
        and by entry that frees, the number of its pair. Stacks are -1 at least."""
        found, born, known = array("i", [0]) * len(action), dict[int, int](), dict[StackPair, int]()
        wanted = action.translate(selecting((ALLOC, FREE_REQUESTED)))
        for place, code, at, by in compress(zip(count(), action, address, stack), wanted):
            if code == ALLOC:
                born[at] = by
            else:
                found[place] = known.setdefault((born.pop(at, UNBORN), by), len(known))
        return list(known), found

    def told(
        self,
        action: bytes,
        codes: Collection[int],
        column: Sequence[int],
        tell: Callable[[int], int],
        found: "array[int]",
        first: int = 0,
    ) -> None:
        """Sets in `found`, by entry of these actions from `first` on, what is told of the number in its column, which
        is `UNBORN` at least: each is asked for once, in the order in which they are met."""
        places = places_of(action, codes, first)
        numbers = list(map(column.__getitem__, places))
        known = {number: tell(number) for number in dict.fromkeys(numbers)}
        for place, one in zip(places, map(known.__getitem__, numbers), strict=True):
            found[place] = one

    def ascend(self, column: Sequence[int]) -> bool:
        """Whether no number is less than the one before it."""
        for start in range(0, len(column), NUMBERS_AT_ONCE):
            numbers = list(column[start : start + NUMBERS_AT_ONCE + 1])
            if numbers != sorted(numbers):  # which takes a quarter of what comparing each pair does
                return False
        return True

    def has_negative(self, column: Sequence[int]) -> bool:
        """Whether one of the numbers is negative."""
        return min(column, default=0) < 0


PLAIN = Passes()


def _levels(before: int, action: bytes, sizes: Iterable[int], signs: Mapping[int, int]) -> Sequence[int]:
    """A level over the entries; each changes it by a size, with the sign of its action."""
    sign_of = bytes(signs.get(code, 0) & 0xFF for code in range(256))
    changes = map(mul, sizes, array("b", action.translate(sign_of)))
    return array("q", accumulate(changes, initial=before))


def _reserved(before: int, trace: Trace, first: int) -> Sequence[int]:
    """The same of the segments, of which few entries tell."""
    levels, now = array("q"), before
    for place in places_of(trace.action, RESERVED, first):
        levels.extend(repeat(now, place - first + 1 - len(levels)))
        now += RESERVED[trace.action[place]] * trace.size[place]
    levels.extend(repeat(now, trace.steps - first + 1 - len(levels)))
    return levels
