"""The simulated caching allocator keeps the promises of the real one."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from blackbox.sources.simulated.allocator import (
    ACTIVATION,
    WEIGHT,
    Block,
    CachingAllocator,
    OutOfMemoryError,
)
from blackbox.sources.simulated.units import KIB, MIB

THREADS = (7, 8)
STREAMS = (0, 3)


class Ledger:
    """Driver memory of a fixed size."""

    def __init__(self, size: int) -> None:
        self.free = size

    def claim(self, size: int) -> bool:
        if size > self.free:
            return False
        self.free -= size
        return True

    def release(self, size: int) -> None:
        self.free += size


@pytest.fixture
def allocator() -> CachingAllocator:
    return CachingAllocator(Ledger(1024 * MIB))


@pytest.mark.parametrize(
    ("requested", "segment"),
    [
        (1, 2 * MIB),
        (MIB, 2 * MIB),
        (MIB + 1, 20 * MIB),
        (10 * MIB - 512, 20 * MIB),
        (10 * MIB, 10 * MIB),
        (33 * MIB + 1, 34 * MIB),
    ],
)
def test_segment_sizes_follow_the_request(allocator: CachingAllocator, requested: int, segment: int) -> None:
    allocator.allocate(requested, WEIGHT, 7)
    assert allocator.reserved_bytes == segment


def test_sizes_are_rounded_to_512_and_the_request_remembered(allocator: CachingAllocator) -> None:
    block = allocator.allocate(513, ACTIVATION, 7)
    assert (block.size, block.requested_bytes) == (1024, 513)
    assert (allocator.allocated_bytes, allocator.requested_bytes) == (1024, 513)


def test_the_smallest_block_that_fits_is_used(allocator: CachingAllocator) -> None:
    blocks = [allocator.allocate(size * MIB, WEIGHT, 7) for size in (60, 12, 30)]
    for block in blocks:
        allocator.free(block)
    assert allocator.allocate(12 * MIB, WEIGHT, 7).address == blocks[1].address
    assert allocator.allocate(28 * MIB, WEIGHT, 7).address == blocks[2].address


def test_a_rest_of_at_most_one_mib_is_not_split_off_in_the_large_pool(allocator: CachingAllocator) -> None:
    assert allocator.allocate(19 * MIB, WEIGHT, 7).size == 20 * MIB
    assert allocator.allocate(9 * MIB, WEIGHT, 7).size == 9 * MIB


def test_a_live_neighbour_strands_what_lies_beside_it(allocator: CachingAllocator) -> None:
    first, second = (allocator.allocate(8 * MIB, WEIGHT, 7) for _ in range(2))
    allocator.free(first)
    assert allocator.inactive_split_bytes == 12 * MIB
    assert allocator.largest_free_bytes == 8 * MIB
    allocator.free(second)
    assert allocator.inactive_split_bytes == 0
    assert allocator.largest_free_bytes == 20 * MIB


def test_the_small_pool_serves_no_large_request(allocator: CachingAllocator) -> None:
    allocator.free(allocator.allocate(512, WEIGHT, 7))
    assert allocator.largest_free_bytes == MIB


def test_a_block_freed_on_another_stream_waits(allocator: CachingAllocator) -> None:
    block = allocator.allocate(4 * KIB, ACTIVATION, 7, stream=3)
    allocator.free_later(block)
    assert allocator.allocated_bytes == 0
    assert [view.state for view in allocator.blocks()] == ["pending_free", "inactive"]
    allocator.finish_pending()
    assert [(view.state, view.size) for view in allocator.blocks()] == [("inactive", 2 * MIB)]


def test_cached_segments_go_back_before_memory_runs_out() -> None:
    memory = Ledger(100 * MIB)
    allocator = CachingAllocator(memory)
    allocator.free(allocator.allocate(60 * MIB, WEIGHT, 7))
    allocator.allocate(80 * MIB, WEIGHT, 7)
    assert memory.free == 20 * MIB


def test_out_of_memory_changes_nothing_that_lives() -> None:
    allocator = CachingAllocator(Ledger(100 * MIB))
    allocator.allocate(60 * MIB, WEIGHT, 7)
    before = allocator.blocks()
    with pytest.raises(OutOfMemoryError):
        allocator.allocate(60 * MIB, WEIGHT, 7)
    assert allocator.blocks() == before


def test_the_end_of_the_process_gives_everything_back() -> None:
    memory = Ledger(100 * MIB)
    allocator = CachingAllocator(memory)
    allocator.allocate(60 * MIB, WEIGHT, 7)
    allocator.free_later(allocator.allocate(512, WEIGHT, 7))
    allocator.give_back_all()
    assert memory.free == 100 * MIB
    assert (allocator.reserved_bytes, allocator.allocated_bytes, allocator.blocks()) == (0, 0, ())


def test_unchanged_blocks_are_the_same_tuple(allocator: CachingAllocator) -> None:
    allocator.allocate(512, WEIGHT, 7)
    first = allocator.blocks()
    assert allocator.blocks() is first
    block = allocator.allocate(512, WEIGHT, 7)
    assert allocator.blocks() is not first
    allocator.free(block)
    assert allocator.blocks() == first


@given(st.lists(st.integers(1, 64 * MIB), max_size=60))
def test_freed_in_any_order_everything_joins_again(sizes: list[int]) -> None:
    memory = Ledger(16 * 1024 * MIB)
    allocator = CachingAllocator(memory)
    for block in sorted((allocator.allocate(size, WEIGHT, 7) for size in sizes), key=lambda block: block.size):
        allocator.free(block)
    assert allocator.inactive_split_bytes == 0
    allocator.empty_cache()
    assert (allocator.reserved_bytes, memory.free) == (0, 16 * 1024 * MIB)


class AllocatorLife(RuleBasedStateMachine):
    """Any sequence of calls, with little memory, so that running out happens too."""

    @initialize()
    def begin(self) -> None:
        self.memory = Ledger(256 * MIB)
        self.allocator = CachingAllocator(self.memory)
        self.live: list[Block] = []

    @rule(
        size=st.one_of(st.integers(1, 4 * KIB), st.integers(1, 2 * MIB), st.integers(MIB, 90 * MIB)),
        thread_id=st.sampled_from(THREADS),
        stream=st.sampled_from(STREAMS),
    )
    def allocate(self, size: int, thread_id: int, stream: int) -> None:
        try:
            self.live.append(self.allocator.allocate(size, ACTIVATION, thread_id, stream))
        except OutOfMemoryError:
            assert size > self.memory.free - 20 * MIB

    @precondition(lambda self: self.live)
    @rule(data=st.data(), later=st.booleans())
    def free(self, data: st.DataObject, later: bool) -> None:
        block = self.live.pop(data.draw(st.integers(0, len(self.live) - 1)))
        (self.allocator.free_later if later else self.allocator.free)(block)

    @rule()
    def finish_pending(self) -> None:
        self.allocator.finish_pending()

    @rule()
    def empty_cache(self) -> None:
        self.allocator.empty_cache()

    @invariant()
    def sums_agree(self) -> None:
        allocator, views = self.allocator, self.allocator.blocks()
        assert sum(view.size for view in views) == allocator.reserved_bytes == 256 * MIB - self.memory.free
        active = [view for view in views if view.state == "active"]
        assert sum(view.size for view in active) == allocator.allocated_bytes
        assert sum(view.requested_bytes or 0 for view in active) == allocator.requested_bytes
        for thread_id in THREADS:
            owned = sum(view.size for view in active if view.thread_id == thread_id)
            assert owned == allocator.thread_bytes.get(thread_id, 0)
        inactive = [view.size for view in views if view.state == "inactive"]
        assert allocator.inactive_split_bytes <= sum(inactive) <= allocator.reserved_bytes - allocator.allocated_bytes
        assert allocator.largest_free_bytes <= max(inactive, default=0)

    @invariant()
    def live_blocks_are_where_they_were(self) -> None:
        views = {view.address: view for view in self.allocator.blocks()}
        for block in self.live:
            view = views[block.address]
            assert (view.state, view.size, view.requested_bytes) == ("active", block.size, block.requested_bytes)
            assert view.size >= block.requested_bytes

    @invariant()
    def blocks_tile_and_no_two_free_neighbours_remain(self) -> None:
        for low, high in pairwise(self.allocator.blocks()):
            assert low.address + low.size <= high.address
        segments = {block.segment.address: block.segment for block in self.live}
        for segment in segments.values():
            blocks = list(segment.blocks())
            assert blocks[0].address == segment.address
            assert sum(block.size for block in blocks) == segment.size
            for low, high in pairwise(blocks):
                assert low.address + low.size == high.address
                assert high.before is low
                assert not (low.state == high.state == "inactive")


TestAllocatorLife = AllocatorLife.TestCase
