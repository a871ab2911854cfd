"""The blocks of one process on one GPU: those of its allocators, with KV tensors cut into pages, and one opaque block
for the memory that no allocator explains."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from operator import attrgetter

from msgspec import structs

from blackbox.merge.known_blocks import BlockSum, Kind, Kinds, added, kinds_of
from blackbox.model.block_arrays import (
    ALIGNMENT_BYTES,
    NO_REQUEST,
    NO_STREAM,
    STATES,
    TYPES,
    BlockArrays,
    ListedBlocks,
    told,
)
from blackbox.model.parts import Allocator, AllocatorBlock, BlockState, KvPage, KvPool
from blackbox.model.snapshot import Block

BLOCK_ID_MAX = 2**53
"""Ids must stay exact in JavaScript, whose numbers hold integers up to 2**53."""
GPU_ID_STRIDE = 10**15
"""An id is one digit for the GPU followed by the digits of the address: people recognise it, and it compresses well."""
GPU_DIGITS = 9
INACTIVE, ACTIVE = STATES.index("inactive"), STATES.index("active")
_address, _size, _id = attrgetter("address"), attrgetter("size"), attrgetter("block_id")
COPIED = ("requested_bytes", "subtype", "type_source", "thread_id", "stream")
"""The last fields of a row, in order, as the allocator tells them."""


def block_rows(pid: int, gpu: int, allocator: Allocator) -> list[Block]:
    """One row for each block or KV page that the allocator reports."""
    if isinstance(allocator.blocks, ListedBlocks) and not allocator.kv_pools:
        return rows_of_arrays(pid, gpu, allocator.blocks.arrays)
    pages, blocks = pages_and_blocks(allocator)
    rows = [_page_row(pid, gpu, page) for page in pages]
    rows += _allocator_rows(pid, gpu, blocks)
    return rows


def allocator_kinds(allocator: Allocator) -> Kinds:
    """The kinds of its blocks and KV pages."""
    if not allocator.kv_pools:
        return kinds_of(allocator.blocks or ())
    pages, blocks = pages_and_blocks(allocator)
    of_pages = ((Kind("kv_cache", page_subtype(page), _page_state(page)), BlockSum(1, page.size)) for page in pages)
    return added(chain(of_pages, kinds_of(blocks).items()))


def blocks_bytes(blocks: Sequence[AllocatorBlock]) -> int:
    """Sum of the blocks' sizes."""
    if isinstance(blocks, ListedBlocks):
        return sum(held.bytes for held in kinds_of(blocks).values())
    return sum(map(_size, blocks))


def opaque_row(pid: int, gpu: int, size: int) -> Block:
    """The row of the memory that the driver gave the process and no allocator explains."""
    return Block(
        block_id=block_id(pid, gpu, 0),
        address=0,
        size=size,
        type="other",
        allocated=True,
        utilized=True,
        pid=pid,
        gpu=gpu,
        subtype="opaque",
        type_source="none",
    )


def block_id(pid: int, gpu: int, address: int) -> int:
    """The id of a block: constant while the block lives, and nearly always unique in its snapshot. The unused low bits
    of the address tell apart processes with a block at the same one."""
    below = address + pid % ALIGNMENT_BYTES if address else pid
    return (gpu % GPU_DIGITS * GPU_ID_STRIDE + below) % BLOCK_ID_MAX


def block_ids(pid: int, gpu: int, addresses: list[int], *, are_in_order: bool = False) -> list[int]:
    """The id of each block, as `block_id` tells it."""
    beyond = gpu % GPU_DIGITS * GPU_ID_STRIDE + pid % ALIGNMENT_BYTES
    edges = addresses[:: max(1, len(addresses) - 1)] if are_in_order else addresses
    if min(edges, default=1) and max(edges, default=0) + beyond < BLOCK_ID_MAX:
        return [address + beyond for address in addresses]
    return [block_id(pid, gpu, address) for address in addresses]


def with_distinct_ids(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """The blocks with unique ids: of blocks that share an id, all but the first get the next free one."""
    taken: set[int] = set(map(_id, blocks))
    if len(taken) == len(blocks):
        return blocks
    taken.clear()
    distinct: list[Block] = []
    for block in blocks:
        free_id = block.block_id
        while free_id in taken:
            free_id = (free_id + 1) % BLOCK_ID_MAX
        taken.add(free_id)
        distinct.append(block if free_id == block.block_id else structs.replace(block, block_id=free_id))
    return tuple(distinct)


def pages_and_blocks(allocator: Allocator) -> tuple[list[KvPage], Sequence[AllocatorBlock]]:
    """The pages of its KV caches, then its blocks without the memory of these pages."""
    blocks = allocator.blocks or ()
    if not allocator.kv_pools:
        return [], blocks
    by_address = sorted(blocks, key=_address)
    pools = [pool for pool in allocator.kv_pools if _fits(pool, by_address)]
    if not pools:
        return [], blocks
    return [page for pool in pools for page in pool.pages], list(_without_pools(by_address, pools))


def _fits(pool: KvPool, blocks: Sequence[AllocatorBlock]) -> bool:
    """Whether the pages sum to the pool's ranges and no range crosses the edge of a block (`blocks` are sorted by
    address)."""
    if sum(page.size for page in pool.pages) != sum(size for _, size in pool.ranges):
        return False
    return all(_lies_within(blocks, address, address + size) for address, size in pool.ranges)


def _lies_within(blocks: Sequence[AllocatorBlock], start: int, end: int) -> bool:
    """Whether the range lies inside one block, or touches none."""
    behind = bisect_right(blocks, start, key=_address)
    holder = blocks[behind - 1] if behind else None
    if holder is not None and start < holder.address + holder.size:
        return end <= holder.address + holder.size
    return behind == len(blocks) or end <= blocks[behind].address


def rows_of_arrays(pid: int, gpu: int, blocks: BlockArrays) -> list[Block]:
    """One row for each block. Column by column: a loop over blocks takes twice as long."""
    subtypes, sources = [label[0] for label in blocks.labels], [label[1] for label in blocks.labels]
    addresses = blocks.address.tolist()
    return list(
        map(
            Block,
            block_ids(pid, gpu, addresses),
            addresses,
            blocks.size,
            map(TYPES.__getitem__, blocks.type),
            map(INACTIVE.__ne__, blocks.state),
            map(ACTIVE.__eq__, blocks.state),
            repeat(pid),
            repeat(gpu),
            told(blocks.requested, NO_REQUEST),
            map(subtypes.__getitem__, blocks.label),
            map(sources.__getitem__, blocks.label),
            told(blocks.thread, 0),
            told(blocks.stream, NO_STREAM),
        )
    )


def _allocator_rows(pid: int, gpu: int, blocks: Sequence[AllocatorBlock]) -> list[Block]:
    """Column by column: a loop over blocks takes twice as long."""
    states = [block.state for block in blocks]
    return list(
        map(
            Block,
            [block_id(pid, gpu, block.address) for block in blocks],
            map(_address, blocks),
            map(_size, blocks),
            map(attrgetter("type"), blocks),
            [state != "inactive" for state in states],
            [state == "active" for state in states],
            repeat(pid),
            repeat(gpu),
            *(map(attrgetter(name), blocks) for name in COPIED),
        )
    )


def page_subtype(page: KvPage) -> str:
    """The subtype of a row that is one page, or several."""
    return "kv_page" if page.pages == 1 else "kv_pages"


def _page_state(page: KvPage) -> BlockState:
    return "active" if page.in_use else "pending_free" if page.cached else "inactive"


def _page_row(pid: int, gpu: int, page: KvPage) -> Block:
    return Block(
        block_id=block_id(pid, gpu, page.address),
        address=page.address,
        size=page.size,
        type="kv_cache",
        allocated=page.in_use or page.cached,
        utilized=page.in_use,
        pid=pid,
        gpu=gpu,
        subtype=page_subtype(page),
        type_source="framework",
    )


def _without_pools(blocks: Iterable[AllocatorBlock], pools: Iterable[KvPool]) -> Iterator[AllocatorBlock]:
    """The blocks without the pools' address ranges: of a block that contains a pool, its head and tail remain."""
    ranges = sorted(address_range for pool in pools for address_range in pool.ranges)
    starts = [address for address, _ in ranges]
    for block in blocks:
        end = block.address + block.size
        first, last = bisect_right(starts, block.address - 1), bisect_right(starts, end - 1)
        if first == last:
            yield block
            continue
        cursor = block.address
        for address, size in ranges[first:last]:
            if address > cursor:
                yield _piece(block, cursor, address - cursor)
            cursor = address + size
        if cursor < end:
            yield _piece(block, cursor, end - cursor)


def _piece(block: AllocatorBlock, address: int, size: int) -> AllocatorBlock:
    return AllocatorBlock(
        address=address,
        size=size,
        state=block.state,
        type="kv_cache",
        subtype="kv_padding",
        type_source="framework",
        thread_id=block.thread_id,
        stream=block.stream,
        stack=block.stack,
        segment=block.segment,
        pool=block.pool,
        allocated_at=block.allocated_at,
    )
