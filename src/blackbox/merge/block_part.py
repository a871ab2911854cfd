"""The blocks of one allocator as rows of a snapshot, counted and as JSON: a row is made where one is asked for."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from blackbox.merge.block_texts import BlockTexts
from blackbox.merge.blocks import allocator_kinds, block_ids, block_rows, rows_of_arrays
from blackbox.merge.identity_cache import IdentityCache
from blackbox.merge.known_blocks import AddressRange, BlockSum, KnownBlocks, known_blocks
from blackbox.model.block_arrays import ALIGNMENT_BYTES, ListedBlocks
from blackbox.model.parts import Allocator
from blackbox.model.snapshot import Block

ROWS_KEPT_MAX = 400_000
"""Rows of reports that have not changed since the last snapshot: about 100 MB of memory."""

_encoder = msgspec.json.Encoder()


class IdSpan(NamedTuple):
    """Where the ids of an allocator's blocks lie, which are distinct."""

    first: int
    last: int
    remainder: int
    """Of the division of each by `ALIGNMENT_BYTES`."""


class BlockPart:
    """The blocks of one allocator in a snapshot, which never change. Its length is their number."""

    def __init__(self, pid: int, gpu: int, allocator: Allocator) -> None:
        self.pid, self.gpu = pid, gpu
        self._known: KnownBlocks | None = None
        """Rows are made of it when they are asked for."""
        self._rows: list[Block] = []
        """The rows, where it is None."""
        if isinstance(allocator.blocks, ListedBlocks) and not allocator.kv_pools:
            self._known = known_blocks(allocator.blocks)
        else:
            self._rows = block_rows(pid, gpu, allocator)
        self.kinds = allocator_kinds(allocator)
        self.bytes = sum(held.bytes for held in self.kinds.values())
        utilized = [held for kind, held in self.kinds.items() if kind.state == "active"]
        self.utilized = BlockSum(sum(held.blocks for held in utilized), sum(held.bytes for held in utilized))
        known = None if self._known is None else self._known.range
        self.span = None if known is None else _span(pid, gpu, known)
        """None where its ids have to be looked at."""
        self._texts: tuple[bytes, ...] | None = None
        """All of them, once asked for; as long as the part is, which never changes."""

    def __len__(self) -> int:
        return len(self._rows if self._known is None else self._known)

    def rows(self) -> list[Block]:
        """One row for each block or KV page, without regard to the ids of other parts."""
        return self._rows if self._known is None else rows_of_arrays(self.pid, self.gpu, self._known.arrays)

    def texts(self, rows_max: int) -> Sequence[bytes]:
        """JSON of its first rows, in pieces that belong between commas."""
        if rows_max < len(self):
            return list(self._made_texts(rows_max))
        if self._texts is None:
            self._texts = tuple(self._made_texts(rows_max))
        return self._texts

    def _made_texts(self, rows_max: int) -> Iterator[bytes]:
        if self._known is None:
            yield from rows_texts(self._rows[:rows_max])
            return
        left, texts = rows_max, BlockTexts(self.pid, self.gpu, self._known)
        for part, chunk in self._known.chunks:
            if len(chunk) > left:
                if left:
                    yield texts.of(slice(part.start, part.start + left))
                return
            yield chunk.bytes_of((self.pid, self.gpu), lambda part=part: texts.of(part))
            left -= len(chunk)


_parts: IdentityCache[BlockPart] = IdentityCache(ROWS_KEPT_MAX)


def block_parts(pid: int, gpu: int, allocators: Iterable[Allocator]) -> tuple[BlockPart, ...]:
    """The blocks of each allocator that tells some; the same object while its report is."""
    return tuple(_part(pid, gpu, one) for one in allocators if one.blocks is not None or one.kv_pools)


def _part(pid: int, gpu: int, allocator: Allocator) -> BlockPart:
    if isinstance(allocator.blocks, ListedBlocks) and not allocator.kv_pools:
        return allocator.blocks.once((pid, gpu), lambda: BlockPart(pid, gpu, allocator))
    objects = allocator.blocks, *allocator.kv_pools
    return _parts.get((pid, gpu), objects, lambda: BlockPart(pid, gpu, allocator))


def rows_texts(rows: Sequence[Block]) -> Iterator[bytes]:
    """JSON of the rows as one piece; none where there is no row."""
    if rows:
        yield _encoder.encode(rows)[1:-1]


def _span(pid: int, gpu: int, known: AddressRange) -> IdSpan | None:
    """None where ids do not lie as addresses do."""
    first, last = block_ids(pid, gpu, [known.first, known.last])
    if last - first != known.last - known.first:
        return None
    return IdSpan(first, last, first % ALIGNMENT_BYTES)
