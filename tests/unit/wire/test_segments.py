"""PyTorch's segments, in every format it ever wrote, become the same blocks."""

import io
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.memory_snapshot.unpickle import plain_data
from blackbox.sources.simulated.allocator import ACTIVATION, Block, CachingAllocator
from blackbox.sources.simulated.units import MIB
from blackbox.wire.report import NOT_KNOWN
from blackbox.wire.segments import ACTIVE, INACTIVE, PENDING_FREE, DeviceMemory, SegmentError, read_segments
from tests import genuine, torch_format

VERSIONS = ((1, 13), (2, 0), (2, 1), (2, 13))
GENUINE = "torch-memory-snapshot-user-metadata.pickle"


class Plenty:
    def claim(self, size: int) -> bool:
        return True

    def release(self, size: int) -> None: ...


def busy_allocator(steps: list[tuple[int, int]]) -> CachingAllocator:
    """An allocator after (action, size) steps: allocations on two streams, frees at once, frees that wait."""
    allocator = CachingAllocator(Plenty())
    live: list[Block] = []
    for action, size in steps:
        if action < 2:
            live.append(allocator.allocate(size, ACTIVATION, thread_id=1, stream=action))
        elif live and action == 2:
            allocator.free(live.pop(size % len(live)))
        elif live:
            allocator.free_later(live.pop(size % len(live)))
    return allocator


allocators = st.builds(busy_allocator, st.lists(st.tuples(st.integers(0, 3), st.integers(1, 40 * MIB)), max_size=40))


def one_segment(**changes: Any) -> dict[str, Any]:
    """A segment of 2 MiB with a live block of 512 bytes."""
    blocks = [
        {"address": 0x1000, "size": 512, "requested_size": 400, "state": "active_allocated", "frames": []},
        {"address": 0x1200, "size": 2 * MIB - 512, "requested_size": 99, "state": "inactive", "frames": []},
    ]
    return {
        "device": 0,
        "address": 0x1000,
        "total_size": 2 * MIB,
        "stream": 0,
        "segment_type": "large",
        "segment_pool_id": (0, 0),
        "is_expandable": False,
        "blocks": blocks,
    } | changes


def read_one(**changes: Any) -> DeviceMemory:
    return read_segments([one_segment(**changes)])[0]


@given(allocators, st.sampled_from(VERSIONS))
def test_sums_and_blocks_are_the_allocators_own(allocator: CachingAllocator, version: torch_format.Version) -> None:
    segments = torch_format.segments(allocator, 0, version)
    if not segments:
        assert read_segments(segments) == {}
        return
    memory = read_segments(segments)[0]
    blocks = memory.blocks
    assert memory.reserved_bytes == sum(blocks.size) == allocator.reserved_bytes
    assert memory.allocated_bytes == allocator.allocated_bytes
    assert memory.inactive_split_bytes == allocator.inactive_split_bytes
    assert memory.largest_free_bytes == allocator.largest_free_bytes
    assert memory.requested_bytes == (None if version < (2, 1) else allocator.requested_bytes)
    expected = allocator.blocks()
    assert list(blocks.address) == [block.address for block in expected]
    assert [("inactive", "active", "pending_free")[code] for code in blocks.state] == [b.state for b in expected]
    if version >= (2, 1):
        assert [block.requested_bytes or NOT_KNOWN for block in expected] == list(blocks.requested or ())
    if version >= (2, 0):
        assert list(blocks.stream or ()) == [block.stream for block in expected]


def test_whoever_shares_the_interpreter_rests_after_each_segment() -> None:
    rests: list[None] = []
    read_segments([one_segment(device=device) for device in range(3)], lambda: rests.append(None))
    assert len(rests) == 3


def test_devices_are_told_apart() -> None:
    memories = read_segments([one_segment(device=1), one_segment(device=0, total_size=2 * MIB)])
    assert list(memories) == [0, 1]
    assert memories[1].allocated_bytes == 512


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("active_allocated", ACTIVE),
        ("active_pending_free", PENDING_FREE),
        ("active_awaiting_free", PENDING_FREE),
        ("inactive", INACTIVE),
    ],
)
def test_both_names_of_waiting_blocks_are_known(written: str, meant: int) -> None:
    memory = read_one(blocks=[{"address": 0x1000, "size": 2 * MIB, "requested_size": 7, "state": written}])
    assert list(memory.blocks.state) == [meant]
    assert memory.allocated_bytes == (2 * MIB if meant == ACTIVE else 0)


def test_a_free_block_asks_for_nothing_though_its_last_request_is_written() -> None:
    memory = read_one()
    assert memory.requested_bytes == 400
    assert list(memory.blocks.requested or ()) == [400, NOT_KNOWN]


def test_expandable_segments_strand_nothing_as_in_pytorchs_own_counter() -> None:
    assert read_one().inactive_split_bytes == 2 * MIB - 512
    assert read_one(is_expandable=True).inactive_split_bytes == 0


def test_the_small_pool_serves_no_large_request() -> None:
    assert read_one().largest_free_bytes == 2 * MIB - 512
    assert read_one(segment_type="small").largest_free_bytes == MIB


def test_the_pool_of_a_cuda_graph_is_marked_and_serves_nobody_else() -> None:
    memory = read_one(segment_pool_id=(0, 3))
    assert memory.blocks.pool == [1, 1]
    assert memory.largest_free_bytes == 0


def block(**changes: Any) -> list[dict[str, Any]]:
    return [{"address": 0x1000, "size": 2 * MIB, "requested_size": 1, "state": "inactive"} | changes]


BROKEN: dict[str, Callable[[], Any]] = {
    "not a list of dicts": lambda: [1, 2],
    "no blocks": lambda: [one_segment(blocks=[])],
    "missing key": lambda: [{"device": 0, "address": 1}],
    "unknown state": lambda: [one_segment(blocks=block(state="asleep"))],
    "too little": lambda: [one_segment(blocks=block(size=512))],
    "nothing": lambda: [one_segment(blocks=[*block(size=2 * MIB), *block(size=0)])],
    "negative size": lambda: [one_segment(blocks=[*block(size=3 * MIB), *block(size=-MIB)])],
    "not a size": lambda: [one_segment(blocks=block(size=2.0 * MIB))],
    "text": lambda: [one_segment(blocks=block(size="512"))],
    "request is text": lambda: [one_segment(blocks=block(requested_size="512"))],
    "negative address": lambda: [one_segment(address=-1)],
    "number of 5000 digits": lambda: [one_segment(address=10**5000)],
    "beyond every address": lambda: [one_segment(address=2**63 - 1)],
    "gap": lambda: [one_segment(blocks=block(address=0x1001))],
    "overlap": lambda: [one_segment(), one_segment(address=0x1200, blocks=block(address=0x1200))],
    "nonsense pool": lambda: [one_segment(segment_pool_id=3)],
}


@pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN.keys())
def test_what_contradicts_itself_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(SegmentError):
        read_segments(make())


def test_a_genuine_snapshot_tiles_its_segments() -> None:
    segments = plain_data(io.BytesIO(genuine.sample(GENUINE).read_bytes()))["segments"]
    memory = read_segments(segments)[0]
    assert memory.reserved_bytes == sum(segment["total_size"] for segment in segments) == sum(memory.blocks.size)
    assert memory.allocated_bytes == sum(segment["allocated_size"] for segment in segments)
    assert memory.requested_bytes == sum(segment["requested_size"] for segment in segments)
    ends = [address + size for address, size in zip(memory.blocks.address, memory.blocks.size, strict=True)]
    starts = set(memory.blocks.address)
    segment_ends = {segment["address"] + segment["total_size"] for segment in segments}
    assert all(end in starts or end in segment_ends for end in ends)
    assert all(one < two for one, two in pairwise(memory.blocks.address))
    assert round(memory.inactive_split_bytes / memory.reserved_bytes, 3) == 0.042
