"""The blocks of an allocator as arrays of numbers, beside their rows: where a source has them, nobody need make them
anew from thousands of rows."""

from __future__ import annotations  # arrays take no parameter at run time before Python 3.12

from collections.abc import Hashable, Sequence
from itertools import chain
from typing import NamedTuple, get_args

from blackbox.model.lanes import IntArray
from blackbox.model.parts import AllocatorBlock, BlockState, BlockType

STATES: tuple[BlockState, ...] = get_args(BlockState)
TYPES: tuple[BlockType, ...] = get_args(BlockType)
NO_REQUEST = 2**64 - 1
"""A requested size that is not told."""


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
    """Q; every block tells it."""
    stack: IntArray | None = None
    """I: 1 + place among the allocator's stacks; 0 where a block does not tell."""
    segment: IntArray | None = None
    """Q: 0 where a block does not tell."""
    pool: IntArray | None = None
    """B; every block tells it."""
    allocated_ms: IntArray | None = None
    """Q: Unix milliseconds; 0 where a block does not tell."""


class BlockChunk(NamedTuple):
    """Blocks beside each other."""

    key: Hashable
    """Equal for equal blocks."""
    rows: tuple[AllocatorBlock, ...]
    """The same tuple from report to report, while none of its blocks changes."""


class ListedBlocks(tuple[AllocatorBlock, ...]):
    """Blocks with their arrays."""

    arrays: BlockArrays
    chunks: tuple[BlockChunk, ...]
    """The same blocks."""


def listed(chunks: Sequence[BlockChunk], arrays: BlockArrays) -> ListedBlocks:
    """The blocks of the chunks, and the same as arrays."""
    made = ListedBlocks(chain.from_iterable(chunk.rows for chunk in chunks))
    made.arrays = arrays
    made.chunks = tuple(chunks)
    return made
