"""What was found out about an allocator's blocks: how many there are of each kind, and their JSON. What is known of a
chunk of blocks is used again in the next report that has an equal one: most blocks stay from one to the next."""

from __future__ import annotations  # arrays take no parameter at run time before Python 3.12

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import compress, pairwise
from typing import NamedTuple, TypeVar

from blackbox.merge.identity_cache import IdentityCache
from blackbox.model.block_arrays import (
    ALIGNMENT_BYTES,
    BYTE_CODES,
    STATES,
    TYPES,
    BlockArrays,
    BlockChunk,
    ListedBlocks,
)
from blackbox.model.lanes import Lanes
from blackbox.model.parts import AllocatorBlock, BlockState, BlockType

ROWS_KEPT_MAX = 400_000
"""Blocks in chunks that are kept for the next report: 300 bytes each with their JSON. On a machine with more, those of
the newest reports alone are kept, and each is gone through anew."""
CHUNK_UNUSED_SECONDS_MAX = 15.0
"""A chunk waits for the next report: an agent with 100,000 blocks makes one every six seconds or so."""
PURPOSES_MAX = 9
"""The recording, and a process on each of eight GPUs. Programs that have ended may have had equal blocks, however many
they were."""


class Kind(NamedTuple):
    """Blocks that differ in nothing but place and size."""

    type: BlockType
    subtype: str | None
    state: BlockState


class BlockSum(NamedTuple):
    """Blocks of one kind."""

    blocks: int
    bytes: int


class AddressRange(NamedTuple):
    """Where blocks lie, each behind the one before, at multiples of `ALIGNMENT_BYTES`, and none of them empty."""

    first: int
    """Address of the first."""
    last: int
    """Address of the last."""
    end: int
    """Of the last."""


_ONE_CODE = tuple(bytes(code) + b"\1" + bytes(BYTE_CODES - 1 - code) for code in range(BYTE_CODES))
"""For each code of a byte: 1 for that code, 0 for any other."""
Kinds = Mapping[Kind, BlockSum]
K = TypeVar("K", Kind, int)


class KnownChunk:
    """A chunk of blocks; valid for every chunk with an equal key, as long as it is kept. Its length is the number of
    blocks."""

    __slots__ = ("_blocks", "_made", "range", "sums")

    def __init__(self, arrays: BlockArrays, codes: Sequence[int], part: slice) -> None:
        self.sums = _sums(arrays, codes, part)
        """By kind code, which means the same in all reports with an equal chunk."""
        self.range = _range(arrays, part)
        """None where a block is out of order."""
        self._blocks = part.stop - part.start
        self._made: dict[object, bytes] = {}

    def __len__(self) -> int:
        return self._blocks

    def bytes_of(self, purpose: object, make: Callable[[], bytes]) -> bytes:
        """The chunk as bytes for some `purpose`, made once."""
        known = self._made.get(purpose)
        if known is None:
            if len(self._made) >= PURPOSES_MAX:
                self._made = {}
            known = self._made[purpose] = make()
        return known


class KnownBlocks:
    """Those of one report, kept with it. Its length is the number of blocks."""

    def __init__(self, blocks: ListedBlocks) -> None:
        self.arrays = blocks.arrays
        self.chunks = tuple((chunk.part, self._known_chunk(chunk)) for chunk in blocks.chunks())
        """Where each stands."""
        sums = added(one for _, chunk in self.chunks for one in chunk.sums.items())
        self.kinds = added((_kind(blocks.arrays, code), held) for code, held in sums.items())
        self.range = _whole([chunk.range for _, chunk in self.chunks])
        """None where there is a block out of order, or none at all."""

    def __len__(self) -> int:
        return len(self.arrays.size)

    @property
    def have_gaps(self) -> bool:
        """False where each block begins where the one before it ends."""
        if self.range is None:
            return True
        return self.range.end - self.range.first != sum(held.bytes for held in self.kinds.values())

    @cached_property
    def codes(self) -> Sequence[int]:
        """The kind code of each block: for all of them at once, as soon as one chunk is a new one."""
        return self.arrays.kind_codes()

    def _known_chunk(self, chunk: BlockChunk) -> KnownChunk:
        return _chunks.get((chunk.key,), (), lambda: KnownChunk(self.arrays, self.codes, chunk.part))


_chunks: IdentityCache[KnownChunk] = IdentityCache(ROWS_KEPT_MAX, unused_seconds_max=CHUNK_UNUSED_SECONDS_MAX)


def known_blocks(blocks: ListedBlocks) -> KnownBlocks:
    """What is known of them."""
    return blocks.once(KnownBlocks, lambda: KnownBlocks(blocks))


def kinds_of(blocks: Sequence[AllocatorBlock]) -> Kinds:
    """The kinds of an allocator's blocks."""
    if isinstance(blocks, ListedBlocks):
        return known_blocks(blocks).kinds
    return added((Kind(block.type, block.subtype, block.state), BlockSum(1, block.size)) for block in blocks)


def added(parts: Iterable[tuple[K, BlockSum]]) -> dict[K, BlockSum]:
    """The parts, those of one kind as one."""
    counts: defaultdict[K, int] = defaultdict(int)
    sizes: defaultdict[K, int] = defaultdict(int)
    for kind, (count, size) in parts:
        counts[kind] += count
        sizes[kind] += size
    return {kind: BlockSum(count, sizes[kind]) for kind, count in counts.items()}


def _sums(blocks: BlockArrays, codes: Sequence[int], part: slice) -> dict[int, BlockSum]:
    codes, sizes = codes[part], blocks.size[part].tolist()
    return {code: BlockSum(codes.count(code), sum(compress(sizes, _are(code, codes)))) for code in set(codes)}


def _are(code: int, codes: Sequence[int]) -> Iterable[int]:
    """Whether each code is this one."""
    return codes.translate(_ONE_CODE[code]) if isinstance(codes, bytes) else map(code.__eq__, codes)


def _range(blocks: BlockArrays, part: slice) -> AddressRange | None:
    address, size = blocks.address[part], blocks.size[part]
    lanes = Lanes.of(address)
    if not lanes.are_multiples_of(ALIGNMENT_BYTES) or not lanes.lie_in_order(Lanes.of(size)):
        return None
    return AddressRange(address[0], address[-1], address[-1] + size[-1])


def _whole(ranges: Sequence[AddressRange | None]) -> AddressRange | None:
    """That of all chunks."""
    known = [one for one in ranges if one is not None]
    if not known or len(known) < len(ranges) or any(one.end > other.first for one, other in pairwise(known)):
        return None
    return AddressRange(known[0].first, known[-1].last, known[-1].end)


def _kind(blocks: BlockArrays, code: int) -> Kind:
    label, type_, state = blocks.kind_of(code)
    return Kind(TYPES[type_], blocks.labels[label][0], STATES[state])
