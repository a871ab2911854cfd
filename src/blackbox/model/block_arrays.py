"""The blocks of an allocator as arrays of numbers: where a source has them, a row is made for who asks for one."""

from __future__ import annotations  # arrays take no parameter at run time before Python 3.12

from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import compress, repeat
from operator import not_
from typing import Any, NamedTuple, TypeVar, cast, get_args, overload

from blackbox.model.lanes import IntArray, marks
from blackbox.model.parts import AllocatorBlock, Blocks, BlockState, BlockType

T = TypeVar("T")
STATES: tuple[BlockState, ...] = get_args(BlockState)
TYPES: tuple[BlockType, ...] = get_args(BlockType)
NO_REQUEST = 2**64 - 1
"""A requested size that is not told."""
NO_STREAM = 2**64 - 1
"""A stream that is not told."""
ALIGNMENT_BYTES = 512
"""Allocators give out addresses that are multiples of it."""
MARKED_ADDRESSES = 16
"""Of about as many addresses one has a mark."""
CHUNK_ROWS_MIN, CHUNK_ROWS_MAX = 96, 256
"""In fewer rows less is made anew for a block that changed; more of them take less time to look up."""
BYTE_CODES = 256


class BlockArrays(NamedTuple):
    """One array per property, all of the same length; None: no block tells it. Type codes of `array` behind each."""

    address: IntArray
    """Q."""
    size: IntArray
    """Q."""
    state: IntArray
    """B: index into `STATES`."""
    type: IntArray
    """B: index into `TYPES`."""
    label: IntArray
    """B: index into `labels`."""
    labels: tuple[tuple[str | None, str | None], ...]
    """Subtypes, and sources of the type."""
    requested: IntArray | None = None
    """Q: `NO_REQUEST` where a block does not tell."""
    thread: IntArray | None = None
    """I: 0 where a block does not tell."""
    stream: IntArray | None = None
    """Q: `NO_STREAM` where a block does not tell."""
    stack: IntArray | None = None
    """I: 1 + place among the allocator's stacks, which is the stack's id; 0 where a block does not tell."""
    segment: IntArray | None = None
    """Q: 0 where a block does not tell."""
    pool: IntArray | None = None
    """B; every block tells it."""
    allocated_ms: IntArray | None = None
    """Q: Unix milliseconds; 0 where a block does not tell."""

    def cut(self, part: slice) -> BlockArrays:
        """Some of the blocks."""
        return self._make(one[part] if isinstance(one, array) else one for one in self)

    def parts(self) -> Iterator[slice]:
        """Blocks beside each other that begin at a marked address: a block more or less than in another report moves
        the borders of a few parts alone."""
        marked = marks(self.address, MARKED_ADDRESSES)
        start, rows = 0, len(self.address)
        while start < rows:
            mark = marked.find(0, start + CHUNK_ROWS_MIN, start + CHUNK_ROWS_MAX)
            end = mark if mark > 0 else min(start + CHUNK_ROWS_MAX, rows)
            yield slice(start, end)
            start = end

    def kind_codes(self) -> Sequence[int]:
        """A number for each block, which `kind_of` takes to pieces."""
        columns = self.label, self.type, self.state
        states, types = len(STATES), len(TYPES)
        if states * types * len(self.labels) > BYTE_CODES:
            return [(label * types + type_) * states + state for label, type_, state in zip(*columns, strict=True)]
        label, type_, state = (int.from_bytes(one.tobytes(), "little") for one in columns)
        return ((label * types + type_) * states + state).to_bytes(len(columns[0]), "little")  # of all blocks at once

    def kind_of(self, code: int) -> tuple[int, int, int]:
        """Label, type and state, as the arrays have them."""
        rest, state = divmod(code, len(STATES))
        return *divmod(rest, len(TYPES)), state

    def rows(self) -> tuple[AllocatorBlock, ...]:
        """The blocks as such. Column by column, since a loop over rows takes three times as long."""
        subtypes, sources = [label[0] for label in self.labels], [label[1] for label in self.labels]
        return tuple(
            map(
                AllocatorBlock,
                self.address,
                self.size,
                map(STATES.__getitem__, self.state),
                map(TYPES.__getitem__, self.type),
                told(self.requested, NO_REQUEST),
                map(subtypes.__getitem__, self.label),
                map(sources.__getitem__, self.label),
                told(self.thread, 0),
                told(self.stream, NO_STREAM),
                repeat(None) if self.stack is None else (code - 1 if code else None for code in self.stack),
                told(self.segment, 0),
                self.pool or repeat(None),
                repeat(None) if self.allocated_ms is None else (ms / 1000 if ms else None for ms in self.allocated_ms),
            )
        )


def told(column: IntArray | None, none: int) -> Iterable[int | None]:
    """The numbers of a column, None where a block does not tell: where no column is, or its number is `none`."""
    if column is None:
        return repeat(None)
    return column if none not in column else (None if value == none else value for value in column)


def are_alike(column: IntArray) -> bool:
    """Whether all numbers of a column are one; False where it has none."""
    if not column or column[0] != column[-1]:
        return False
    stored = column.tobytes()
    return stored == stored[: column.itemsize] * len(column)


class BlockChunk(NamedTuple):
    """Blocks beside each other."""

    part: slice
    """Where they stand among the allocator's."""
    key: bytes
    """Equal for equal blocks, whoever has them, and for no others."""


class ListedBlocks(Sequence[AllocatorBlock]):
    """Blocks that are held as arrays: a row is made whenever one is asked for, and kept by nobody."""

    __slots__ = ("_kept", "arrays")

    def __init__(self, arrays: BlockArrays) -> None:
        self.arrays = arrays
        self._kept: dict[Hashable, Any] = {}

    def once(self, purpose: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made once for a purpose, and kept as long as these blocks are: they never change."""
        known = self._kept.get(purpose)
        if known is None:
            known = self._kept[purpose] = make()
        return known

    def chunks(self) -> tuple[BlockChunk, ...]:
        """The same blocks, so that what was made of a chunk can be used again for an equal one in another report."""
        from hashlib import sha256  # brings in OpenSSL, which a machine without blocks need not hold

        columns = [one for one in self.arrays if isinstance(one, array)]
        alike = [are_alike(one) for one in columns]
        has = [isinstance(one, array) for one in self.arrays]
        everywhere = [one[0] if is_alike else None for one, is_alike in zip(columns, alike, strict=True)]
        # labels may take 100 KB, beside a chunk's 15
        meaning = sha256(repr((self.arrays.labels, has, everywhere)).encode()).digest()
        told = [(memoryview(one).cast("B"), one.itemsize) for one in compress(columns, map(not_, alike))]
        return tuple(
            BlockChunk(part, b"".join([meaning, *[one[w * part.start : w * part.stop] for one, w in told]]))
            for part in self.arrays.parts()
        )

    def __len__(self) -> int:
        return len(self.arrays.size)

    def __iter__(self) -> Iterator[AllocatorBlock]:
        return iter(self.arrays.rows())

    @overload
    def __getitem__(self, index: int) -> AllocatorBlock: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[AllocatorBlock, ...]: ...
    def __getitem__(self, index: int | slice) -> AllocatorBlock | tuple[AllocatorBlock, ...]:
        if isinstance(index, slice):
            return self.arrays.cut(index).rows()
        place = range(len(self))[index]
        return self.arrays.cut(slice(place, place + 1)).rows()[0]

    def __eq__(self, other: object) -> bool:
        """As tuples of blocks are."""
        return isinstance(other, (tuple, ListedBlocks)) and self.arrays.rows() == tuple(cast(Blocks, other))

    __hash__ = None  # type: ignore[assignment]
