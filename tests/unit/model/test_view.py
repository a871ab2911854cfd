"""What each amount of block detail leaves out, and what it must not."""

from msgspec import structs

from blackbox.merge import merge
from blackbox.model.moment import Moment
from blackbox.model.parts import Allocator, AllocatorBlock, Device, DeviceProcess, Memory, OwningStack
from blackbox.model.sample import Sample
from blackbox.model.view import with_blocks

BLOCK_BYTES = 512


def moment_of_blocks(count: int) -> Moment:
    """One process whose allocator holds `count` blocks, every third free."""
    reserved = count * BLOCK_BYTES
    blocks = tuple(
        AllocatorBlock(
            0x1000 + number * BLOCK_BYTES, BLOCK_BYTES, "inactive" if number % 3 == 0 else "active", "weight"
        )
        for number in range(count)
    )
    allocated = sum(block.size for block in blocks if block.state == "active")
    device = Device(
        uuid="GPU-0",
        index=0,
        name="Test GPU",
        taken_at=1.0,
        memory=Memory(
            total_bytes=2 * reserved,
            used_bytes=reserved,
            free_bytes=reserved,
            driver_reserved_bytes=0,
            source="nvml_v2",
        ),
    )
    process = DeviceProcess(
        pid=7,
        gpu_uuid="GPU-0",
        used_bytes=reserved,
        kind="compute",
        name="python",
        user=None,
        uid=None,
        container=None,
        start_time=None,
    )
    allocator = Allocator(
        pid=7,
        start_time=None,
        gpu_uuid="GPU-0",
        taken_at=1.0,
        source="pytorch",
        reserved_bytes=reserved,
        allocated_bytes=allocated,
        inactive_split_bytes=0,
        blocks=blocks,
    )
    sample = Sample(source="test", taken_at=1.0, devices=(device,), processes=(process,), allocators=(allocator,))
    return Moment(seq=1, timestamp=1.8e9, taken_at=1.0, host="testhost", samples=(sample,), sources=())


def test_full_within_the_cap_is_the_snapshot_itself() -> None:
    snapshot = merge(moment_of_blocks(9))
    assert with_blocks(snapshot, "full", 9) is snapshot


def test_none_keeps_every_sum_and_says_how_many_were_left_out() -> None:
    snapshot = merge(moment_of_blocks(9))
    bare = with_blocks(snapshot, "none", 100)
    assert bare.blocks == ()
    assert bare.blocks_omitted == 9
    assert (bare.active_blocks, bare.free_blocks) == (6, 3)
    assert bare.atomic_allocations_bytes == 6 * BLOCK_BYTES


def test_summary_counts_like_blocks_together() -> None:
    bare = with_blocks(merge(moment_of_blocks(9)), "summary", 100)
    assert bare.blocks == ()
    assert bare.blocks_summary is not None
    assert [(group.utilized, group.count, group.size) for group in bare.blocks_summary] == [
        (False, 3, 3 * BLOCK_BYTES),
        (True, 6, 6 * BLOCK_BYTES),
    ]


def test_stacks_come_without_the_blocks() -> None:
    moment = moment_of_blocks(9)
    (one,) = moment.samples[0].allocators
    told = structs.replace(one, stacks=(OwningStack(("a.py:1 f",), 4 * BLOCK_BYTES, 4),))
    snapshot = merge(structs.replace(moment, samples=(structs.replace(moment.samples[0], allocators=(told,)),)))
    bare = with_blocks(snapshot, "stacks", 100)
    assert bare.blocks == ()
    assert bare.stacks == snapshot.stacks
    assert sum(stack.allocated_bytes for stack in bare.stacks or ()) == 6 * BLOCK_BYTES
    assert bare.blocks_summary == with_blocks(snapshot, "summary", 100).blocks_summary
    assert with_blocks(snapshot, "summary", 100).stacks is None
