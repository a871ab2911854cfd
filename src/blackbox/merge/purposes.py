"""What the memory of allocators is for, in sums. Those of an allocator are added up once per report."""

from collections.abc import Iterable

from blackbox.merge.blocks import allocator_kinds
from blackbox.merge.identity_cache import IdentityCache
from blackbox.model.parts import Allocator, AllocatorBlock
from blackbox.model.purpose import PURPOSES, purpose_of

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
    for kind, held in allocator_kinds(allocator).items():
        yield AllocatorBlock(0, held.bytes, kind.state, kind.type, subtype=kind.subtype)
