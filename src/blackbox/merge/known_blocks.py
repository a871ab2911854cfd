"""What was found out about an allocator's blocks: how many there are of each kind, and their JSON. What is known of a
chunk of blocks is used again in the next report that has an equal one: most blocks stay from one to the next."""

from __future__ import annotations  # arrays take no parameter at run time before Python 3.12

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    ListedBlocks,
)
from blackbox.model.lanes import FAST_LANES, Lanes
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

    def __init__(self, sums: dict[int, BlockSum], in_range: AddressRange | None, blocks: int) -> None:
        self.sums = sums
        """By kind code, which means the same in all reports with an equal chunk."""
        self.range = in_range
        """None where a block is out of order."""
        self._blocks = blocks
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
        chunks = blocks.chunks()
        parts = [chunk.part for chunk in chunks]
        known = _chunks.get_all([chunk.key for chunk in chunks], lambda places: self._made(parts, places))
        self.chunks = tuple(zip(parts, known, strict=True))
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

    def _made(self, parts: Sequence[slice], places: Sequence[int]) -> list[KnownChunk]:
        """The chunks at some places, made."""
        made: list[KnownChunk] = []
        for run in _runs([parts[place] for place in places]):
            made += map(self._made_chunk, run, _ranges(self.arrays, run))
        return made

    def _made_chunk(self, part: slice, in_range: AddressRange | None) -> KnownChunk:
        return KnownChunk(_sums(self.arrays, self.codes, part), in_range, part.stop - part.start)


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
    """The sum of the last code is what the others leave."""
    codes, sizes = codes[part], blocks.size[part].tolist()
    first, *others = set(codes)
    found = {code: BlockSum(codes.count(code), sum(compress(sizes, _are(code, codes)))) for code in others}
    rest = sum(sizes) - sum([held.bytes for held in found.values()])
    return found | {first: BlockSum(codes.count(first), rest)}


def _are(code: int, codes: Sequence[int]) -> Iterable[int]:
    """Whether each code is this one."""
    return codes.translate(_ONE_CODE[code]) if isinstance(codes, bytes) else map(code.__eq__, codes)


def _runs(parts: Iterable[slice]) -> Iterator[list[slice]]:
    """The parts, in groups of those that follow each other, each of about `FAST_LANES` blocks at most."""
    run: list[slice] = []
    for part in parts:
        if run and (run[-1].stop != part.start or part.stop - run[0].start > FAST_LANES):
            yield run
            run = []
        run.append(part)
    if run:
        yield run


def _ranges(blocks: BlockArrays, run: Sequence[slice]) -> list[AddressRange | None]:
    """The range of each part of a run. All are looked at in one go, and one by one where a block is out of order."""
    if _are_in_order(blocks, slice(run[0].start, run[-1].stop)):
        return [_range(blocks, part) for part in run]
    return [_range(blocks, part) if _are_in_order(blocks, part) else None for part in run]


def _are_in_order(blocks: BlockArrays, part: slice) -> bool:
    lanes = Lanes.of(blocks.address[part])
    return lanes.are_multiples_of(ALIGNMENT_BYTES) and lanes.lie_in_order(Lanes.of(blocks.size[part]))


def _range(blocks: BlockArrays, part: slice) -> AddressRange:
    """Of blocks that are in order."""
    address, size = blocks.address[part], blocks.size[part]
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
