"""A caching allocator in PyTorch's manner: segments from the driver, cut into blocks, kept when freed.

Requests are rounded to 512 bytes. Up to 1 MiB they come from 2 MiB segments, up to 10 MiB from 20 MiB segments, and
above from segments of their own size rounded to 2 MiB. The best fitting free block is split where the rest is worth
keeping; a freed block joins its free neighbours. Addresses and sizes are bytes.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal, NamedTuple, Protocol

from blackbox.model.parts import AllocatorBlock, BlockState, BlockType, OwningStack
from blackbox.sources.simulated.units import MIB

ROUNDING_BYTES = 512
SMALL_REQUEST_BYTES_MAX = MIB
"""Larger requests come from the large pool."""
SMALL_SEGMENT_BYTES = 2 * MIB
MEDIUM_REQUEST_BYTES_MAX = 10 * MIB
MEDIUM_SEGMENT_BYTES = 20 * MIB
LARGE_ROUNDING_BYTES = 2 * MIB
LARGE_REMAINDER_BYTES_MIN = MIB
"""What remains of a block in the large pool is split off when it is larger than this."""
ADDRESS_FIRST = 0x7F00_0000_0000


class OutOfMemoryError(Exception):
    """Neither the cache nor the driver has this much."""

    def __init__(self, requested_bytes: int) -> None:
        super().__init__(f"tried to allocate {requested_bytes} bytes")
        self.requested_bytes = requested_bytes


class DriverMemory(Protocol):
    """Where segments come from."""

    def claim(self, size: int) -> bool:
        """Takes `size` bytes; False when there is not enough."""
        ...

    def release(self, size: int) -> None:
        """Gives `size` bytes back."""
        ...


class Use(NamedTuple):
    """What a live block is for, and how that is known."""

    type: BlockType
    subtype: str | None
    type_source: str | None


UNUSED = Use("other", None, None)
WEIGHT = Use("weight", None, "tensor")
GRADIENT = Use("other", "gradient", "residual")
OPTIMIZER = Use("other", "optimizer", "tensor")
ACTIVATION = Use("activation", None, "residual")
GRAPH_POOL = Use("other", "graph_pool", "framework")
KV_CACHE = Use("kv_cache", None, "framework")


Frames = tuple[str, ...]
"""Innermost first, as `file:line function`; empty where nobody recorded it."""
NO_STACK: Frames = ()


class Pool(NamedTuple):
    """Blocks join, and serve requests, only within one pool."""

    small: bool
    stream: int


@dataclass(eq=False, slots=True)
class Block:
    """A piece of a segment; `before` and `after` are its neighbours there."""

    segment: "Segment"
    address: int
    size: int
    before: "Block | None" = None
    after: "Block | None" = None
    state: BlockState = "inactive"
    requested_bytes: int = 0
    use: Use = UNUSED
    thread_id: int | None = None
    stack: Frames = NO_STACK
    allocated_at: float = 0.0
    """Of the machine's time."""
    view: AllocatorBlock | None = None
    """Filled by `CachingAllocator.blocks`, emptied by every change."""

    @property
    def is_split(self) -> bool:
        return self.before is not None or self.after is not None


@dataclass(eq=False, slots=True)
class Segment:
    """Memory the driver gave in one piece."""

    address: int
    size: int
    pool: Pool
    first: Block | None = None

    def blocks(self) -> Iterator[Block]:
        """From the lowest address up."""
        block = self.first
        while block is not None:
            yield block
            block = block.after


class CachingAllocator:
    """The allocator of one process on one device."""

    def __init__(self, memory: DriverMemory) -> None:
        self.reserved_bytes = 0
        self.allocated_bytes = 0
        """Sizes of the active blocks."""
        self.requested_bytes = 0
        """What the program asked for, of those."""
        self.thread_bytes: dict[int, int] = {}
        """Thread id -> sizes of the active blocks it allocated."""
        self.now = 0.0
        """The machine's time, which whoever lets it pass sets."""
        self._stacks: dict[tuple[Frames, Use], list[int]] = {}
        """Stack and use -> sizes and number of the active blocks allocated there, and its id."""
        self._started_unix = 0.0
        """The wall time of the machine's second 0, as of the last list of blocks."""
        self._memory = memory
        self._segments: list[Segment] = []
        self._free: dict[Pool, list[tuple[int, int, Block]]] = {}
        self._pending: list[Block] = []
        self._blocks: tuple[AllocatorBlock, ...] | None = None

    def allocate(
        self, requested_bytes: int, use: Use, thread_id: int, stream: int = 0, stack: Frames = NO_STACK
    ) -> Block:
        """A live block of at least `requested_bytes`. Raises `OutOfMemoryError`."""
        size = _round_up(max(requested_bytes, 1), ROUNDING_BYTES)
        pool = Pool(small=size <= SMALL_REQUEST_BYTES_MAX, stream=stream)
        block = self._best_fit(pool, size) or self._new_segment(pool, size)
        self._split(block, size)
        block.state = "active"
        block.requested_bytes = requested_bytes
        block.use = use
        block.thread_id = thread_id
        block.stack = stack
        block.allocated_at = self.now
        self._changed(block)
        self._count(block, +1)
        return block

    def free(self, block: Block) -> None:
        """Ends the life of an active block; its memory stays in the cache."""
        self._count(block, -1)
        self._cache(block)

    def free_later(self, block: Block) -> None:
        """Ends the life of an active block another stream may still use: it waits for `finish_pending`."""
        self._count(block, -1)
        block.state = "pending_free"
        self._changed(block)
        self._pending.append(block)

    def finish_pending(self) -> None:
        """The other streams are done: blocks given to `free_later` become free."""
        while self._pending:
            self._cache(self._pending.pop())

    def empty_cache(self) -> None:
        """Gives the segments in which nothing lives back to the driver."""
        for pool, free in self._free.items():
            self._free[pool] = [entry for entry in free if entry[2].is_split]
            for _, _, block in free:
                if not block.is_split:
                    self._give_back(block.segment)

    def give_back_all(self) -> None:
        """The process is gone: the driver takes every segment, whatever lives in it."""
        for segment in list(self._segments):
            self._give_back(segment)
        self._free.clear()
        self._pending.clear()
        self.thread_bytes.clear()
        self._stacks.clear()
        self.allocated_bytes = 0
        self.requested_bytes = 0

    @property
    def inactive_split_bytes(self) -> int:
        """Free, but kept from going back to the driver by a live neighbour."""
        return sum(size for size, _, block in self._free_entries() if block.is_split)

    @property
    def largest_free_bytes(self) -> int:
        """The largest request that needs no new segment."""
        return max(
            (
                min(size, SMALL_REQUEST_BYTES_MAX) if block.segment.pool.small else size
                for size, _, block in self._free_entries()
            ),
            default=0,
        )

    def blocks(self, started_unix: float = 0.0) -> tuple[AllocatorBlock, ...]:
        """Every block by address, tiling the segments; the same tuple until something changes. `started_unix` is the
        wall time of the machine's second 0."""
        if self._started_unix != started_unix:
            self._started_unix = started_unix
            for segment in self._segments:
                for block in segment.blocks():
                    self._changed(block)
        if self._blocks is None:
            self._blocks = tuple(
                block.view or self._view(block) for segment in self._segments for block in segment.blocks()
            )
        return self._blocks

    def stacks(self) -> tuple[OwningStack, ...] | None:
        """Who allocated what lives, the largest first; None where nobody recorded it."""
        told = [
            OwningStack(stack, size, count, use.type, use.subtype, number)
            for (stack, use), (size, count, number) in self._stacks.items()
            if count
        ]
        return tuple(sorted(told, key=lambda stack: -stack.allocated_bytes)) or None

    def _free_entries(self) -> Iterator[tuple[int, int, Block]]:
        for free in self._free.values():
            yield from free

    def _best_fit(self, pool: Pool, size: int) -> Block | None:
        free = self._free.get(pool, [])
        place = bisect_left(free, (size,))
        return free.pop(place)[2] if place < len(free) else None

    def _new_segment(self, pool: Pool, size: int) -> Block:
        segment_size = _segment_size(size)
        if not self._memory.claim(segment_size):
            self.empty_cache()
            if not self._memory.claim(segment_size):
                raise OutOfMemoryError(size)
        segment = Segment(self._unused_address(segment_size), segment_size, pool)
        segment.first = Block(segment, segment.address, segment_size)
        insort(self._segments, segment, key=attrgetter("address"))
        self.reserved_bytes += segment_size
        return segment.first

    def _unused_address(self, size: int) -> int:
        address = ADDRESS_FIRST
        for segment in self._segments:
            if segment.address - address >= size:
                break
            address = segment.address + segment.size
        return address

    def _give_back(self, segment: Segment) -> None:
        self._segments.remove(segment)
        self._memory.release(segment.size)
        self.reserved_bytes -= segment.size
        self._blocks = None

    def _split(self, block: Block, size: int) -> None:
        remainder = block.size - size
        worthwhile = remainder >= ROUNDING_BYTES if block.segment.pool.small else remainder > LARGE_REMAINDER_BYTES_MIN
        if not worthwhile:
            return
        rest = Block(block.segment, block.address + size, remainder, before=block, after=block.after)
        if rest.after is not None:
            rest.after.before = rest
        block.after = rest
        block.size = size
        self._add_free(rest)

    def _cache(self, block: Block) -> None:
        block.state = "inactive"
        block.requested_bytes = 0
        block.use = UNUSED
        block.thread_id = None
        block.stack = NO_STACK
        if block.after is not None and block.after.state == "inactive":
            self._join(block, block.after)
        if block.before is not None and block.before.state == "inactive":
            block = self._join(block.before, block)
        self._changed(block)
        self._add_free(block)

    def _join(self, low: Block, high: Block) -> Block:
        for block in low, high:
            self._drop_free(block)
        low.size += high.size
        low.after = high.after
        if low.after is not None:
            low.after.before = low
        return low

    def _add_free(self, block: Block) -> None:
        insort(self._free.setdefault(block.segment.pool, []), (block.size, block.address, block))

    def _drop_free(self, block: Block) -> None:
        free = self._free.get(block.segment.pool, [])
        place = bisect_left(free, (block.size, block.address))
        if place < len(free) and free[place][2] is block:
            del free[place]

    def _count(self, block: Block, sign: Literal[1, -1]) -> None:
        self.allocated_bytes += sign * block.size
        self.requested_bytes += sign * block.requested_bytes
        if block.thread_id is not None:
            self.thread_bytes[block.thread_id] = self.thread_bytes.get(block.thread_id, 0) + sign * block.size
        if block.stack:
            total = self._stacks.setdefault((block.stack, block.use), [0, 0, len(self._stacks)])
            total[0] += sign * block.size
            total[1] += sign

    def _changed(self, block: Block) -> None:
        block.view = None
        self._blocks = None

    def _view(self, block: Block) -> AllocatorBlock:
        live = block.state != "inactive"
        known = self._stacks.get((block.stack, block.use))
        block.view = AllocatorBlock(
            address=block.address,
            size=block.size,
            state=block.state,
            type=block.use.type,
            requested_bytes=block.requested_bytes if live else None,
            subtype=block.use.subtype,
            type_source=block.use.type_source,
            thread_id=block.thread_id,
            stream=block.segment.pool.stream,
            stack=known[2] if live and known is not None else None,
            segment=block.segment.address,
            pool=0,
            allocated_at=self._started_unix + block.allocated_at if live else None,
        )
        return block.view


def _segment_size(size: int) -> int:
    if size <= SMALL_REQUEST_BYTES_MAX:
        return SMALL_SEGMENT_BYTES
    if size < MEDIUM_REQUEST_BYTES_MAX:
        return MEDIUM_SEGMENT_BYTES
    return _round_up(size, LARGE_ROUNDING_BYTES)


def _round_up(size: int, step: int) -> int:
    return -(-size // step) * step
