"""The blocks of one process on one GPU: its allocator's, with KV tensors cut into pages, and one opaque rest."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from msgspec import structs

from blackbox.merge.identity_cache import Remembered
from blackbox.model.sample import Allocator, AllocatorBlock, KvPage, KvPool
from blackbox.model.snapshot import Block

BLOCK_ID_MAX = 2**53
"""Ids stay exact in JavaScript."""
GPU_ID_STRIDE = 10**15
"""An id is the digits of its address behind one for the GPU: people recognise it, and it compresses well."""
GPU_DIGITS = 9
ALIGNMENT_BYTES = 512
"""Of what allocators hand out: the room below tells apart processes that have a block at the same address."""
ROWS_KEPT_MAX = 400_000
"""Rows of reports that have not changed since the last snapshot: about 100 MB."""

_rows: Remembered[list[Block]] = Remembered(ROWS_KEPT_MAX)


def block_rows(pid: int, gpu: int, allocators: Iterable[Allocator]) -> list[Block]:
    """The rows of everything that allocators explain."""
    rows: list[Block] = []
    for allocator in allocators:
        if allocator.blocks is not None or allocator.kv_pools:
            rows += _rows.get(
                (pid, gpu), (allocator.blocks, *allocator.kv_pools), lambda of=allocator: _make_rows(pid, gpu, of)
            )
    return rows


def blocks_bytes(blocks: Iterable[AllocatorBlock]) -> int:
    """What the blocks sum to."""
    return sum(block.size for block in blocks)


def opaque_row(pid: int, gpu: int, size: int) -> Block:
    """What the driver gave the process and no allocator explains."""
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
    """The same for the same block while it lives; nearly always another than that of any other block."""
    below = address + pid % ALIGNMENT_BYTES if address else pid
    return (gpu % GPU_DIGITS * GPU_ID_STRIDE + below) % BLOCK_ID_MAX


def with_distinct_ids(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """The blocks; of those with the same id, all but the first get the next free one."""
    taken: set[int] = {block.block_id for block in blocks}
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


def _make_rows(pid: int, gpu: int, allocator: Allocator) -> list[Block]:
    blocks = sorted(allocator.blocks or (), key=_address)
    pools = [pool for pool in allocator.kv_pools if _fits(pool, blocks)]
    if not pools:
        return [_row(pid, gpu, block) for block in allocator.blocks or ()]
    rows = list(_page_rows(pid, gpu, pools))
    rows += [_row(pid, gpu, block) for block in _without_pools(blocks, pools)]
    return rows


def _fits(pool: KvPool, blocks: Sequence[AllocatorBlock]) -> bool:
    """Whether the pages sum to the ranges, and no range crosses the edge of one of the blocks, sorted by address."""
    if sum(page.size for page in pool.pages) != sum(size for _, size in pool.ranges):
        return False
    return all(_lies_within(blocks, address, address + size) for address, size in pool.ranges)


def _lies_within(blocks: Sequence[AllocatorBlock], start: int, end: int) -> bool:
    """Whether the range lies in one block, or in none."""
    behind = bisect_right(blocks, start, key=_address)
    holder = blocks[behind - 1] if behind else None
    if holder is not None and start < holder.address + holder.size:
        return end <= holder.address + holder.size
    return behind == len(blocks) or end <= blocks[behind].address


def _address(block: AllocatorBlock) -> int:
    return block.address


def _row(pid: int, gpu: int, block: AllocatorBlock) -> Block:
    return Block(
        block_id=block_id(pid, gpu, block.address),
        address=block.address,
        size=block.size,
        type=block.type,
        allocated=block.state != "inactive",
        utilized=block.state == "active",
        pid=pid,
        gpu=gpu,
        requested_bytes=block.requested_bytes,
        subtype=block.subtype,
        type_source=block.type_source,
        thread_id=block.thread_id,
        stream=block.stream,
    )


def _page_rows(pid: int, gpu: int, pools: Iterable[KvPool]) -> Iterator[Block]:
    for pool in pools:
        for page in pool.pages:
            yield _page_row(pid, gpu, page)


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
        subtype="kv_page" if page.pages == 1 else "kv_pages",
        type_source="framework",
    )


def _without_pools(blocks: Iterable[AllocatorBlock], pools: Iterable[KvPool]) -> Iterator[AllocatorBlock]:
    """The blocks less the address ranges of the pools: a block that holds a pool leaves its head and its tail."""
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
    )
