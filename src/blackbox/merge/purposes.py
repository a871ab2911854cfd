"""What the memory of allocators is for, in sums. Those of an allocator are added up once per report."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from blackbox.merge.blocks import page_subtype, pages_and_blocks
from blackbox.merge.identity_cache import IdentityCache
from blackbox.model.block_arrays import STATES, TYPES, BlockArrays, ListedBlocks
from blackbox.model.parts import Allocator, AllocatorBlock, BlockState, BlockType, KvPage
from blackbox.model.purpose import PURPOSES, purpose_of

Kind = tuple[BlockType, str | None, BlockState]
BLOCKS_KEPT_MAX = 400_000
"""Of reports whose sums are kept: the blocks stay in memory with them."""

_kinds: IdentityCache[tuple[AllocatorBlock, ...]] = IdentityCache(BLOCKS_KEPT_MAX)


def one_block_per_kind(allocator: Allocator) -> tuple[AllocatorBlock, ...]:
    """The allocator's memory as one block for each type, subtype and state, of no address; the same tuple while its
    report is the same."""
    return _kinds.get((), (allocator.blocks, *allocator.kv_pools), lambda: tuple(_summed(allocator)))


def purposes_of(allocators: Iterable[Allocator], reserved_bytes: int) -> dict[str, int] | None:
    """Bytes by purpose, those that are not 0, in the order of `PURPOSES`; None where no allocator tells its blocks.
    Of `reserved_bytes`, what the blocks do not account for is `other`."""
    told = [one for one in allocators if one.blocks is not None or one.kv_pools]
    if not told:
        return None
    sums = dict.fromkeys(PURPOSES, 0)
    for allocator in told:
        for block in one_block_per_kind(allocator):
            state = block.state
            purpose = purpose_of(block.type, block.subtype, allocated=state != "inactive", utilized=state == "active")
            sums[purpose] += block.size
    sums["other"] += max(0, reserved_bytes - sum(sums.values()))
    return {purpose: size for purpose, size in sums.items() if size}


def _summed(allocator: Allocator) -> Iterable[AllocatorBlock]:
    sums: defaultdict[Kind, int] = defaultdict(int)
    if isinstance(allocator.blocks, ListedBlocks) and not allocator.kv_pools:
        pages, blocks = [], _of_arrays(allocator.blocks.arrays)
    else:
        pages, blocks = pages_and_blocks(allocator)
    for page in pages:
        sums["kv_cache", page_subtype(page), _page_state(page)] += page.size
    for block in blocks:
        sums[block.type, block.subtype, block.state] += block.size
    for (type_, subtype, state), size in sums.items():
        yield AllocatorBlock(0, size, state, type_, subtype=subtype)


def _of_arrays(blocks: BlockArrays) -> Iterator[AllocatorBlock]:
    """One block for each kind."""
    sizes: defaultdict[tuple[int, int, int], int] = defaultdict(int)
    for kind, size in zip(zip(blocks.type, blocks.label, blocks.state, strict=True), blocks.size, strict=True):
        sizes[kind] += size
    for (type_, label, state), size in sizes.items():
        yield AllocatorBlock(0, size, STATES[state], TYPES[type_], subtype=blocks.labels[label][0])


def _page_state(page: KvPage) -> BlockState:
    return "active" if page.in_use else "pending_free" if page.cached else "inactive"
