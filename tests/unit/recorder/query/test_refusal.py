"""The moment of a refusal: the process as its agent saw it then, with the stack of each block."""

from typing import Any

from msgspec import structs

from blackbox.merge import merge
from blackbox.model.event import Event, OutOfMemory
from blackbox.model.moment import Moment
from blackbox.model.parts import Allocator
from blackbox.model.snapshot import Snapshot
from blackbox.recorder.query.refusal import STACKS_MAX, at_refusal
from tests.moments import (
    GIB,
    SERVER,
    TIMESTAMP,
    TRAINER,
    allocator,
    device,
    instance,
    memory,
    moment,
    paged_allocator,
    process,
    sample,
)

LOAD, STEP = ("model.py:1 load",), ("model.py:3 forward", "train.py:9 <module>")
BEFORE = moment(sample([device()], [process(TRAINER, used_bytes=6 * GIB)], allocators=(allocator(),)))


def seen(**changes: Any) -> Allocator:
    """The allocator at the refusal."""
    fields: dict[str, Any] = {"allocator": allocator(), "stacks": (LOAD, STEP)} | changes
    oom = OutOfMemory(
        source="pytorch", requested_bytes=GIB, thread_id=TRAINER, device_total_bytes=None, device_free_bytes=None,
        trace=(), **fields,
    )  # fmt: skip
    event = Event(kind="oom", timestamp=TIMESTAMP + 1, message="", gpu_uuid="GPU-0", pid=TRAINER, oom=oom)
    then = at_refusal(BEFORE, event)
    (told,) = [one for one in then.samples[0].allocators if one.pid == TRAINER]
    rows = [stack for stack in merge(then).stacks or () if stack.frames]
    assert len(rows) == len(told.stacks or ())
    return told


def test_each_live_block_names_its_stack() -> None:
    told = seen(block_stacks=(0, -1, 1))
    assert [block.stack for block in told.blocks or ()] == [0, None, 1]
    assert [(stack.id, stack.frames, stack.allocated_bytes, stack.type) for stack in told.stacks or ()] == [
        (0, LOAD, 2 * GIB, "weight"),
        (1, STEP, GIB, "activation"),
    ]


def test_a_free_block_and_one_of_unknown_stack_name_none() -> None:
    told = seen(block_stacks=(-1, 0, 1))
    assert [block.stack for block in told.blocks or ()] == [None, None, 0]
    assert [stack.frames for stack in told.stacks or ()] == [STEP]


def test_without_stacks_of_blocks_the_agents_own_stand() -> None:
    assert seen().blocks == allocator().blocks
    assert seen(block_stacks=(0,)).blocks == allocator().blocks, "which are of other blocks"


def test_the_largest_stacks_alone_are_told() -> None:
    block = (allocator().blocks or ())[0]
    blocks = tuple(structs.replace(block, address=place * GIB, size=1 + place) for place in range(STACKS_MAX + 5))
    held = sum(one.size for one in blocks)
    many = structs.replace(allocator(), blocks=blocks, reserved_bytes=held, allocated_bytes=held, threads=None)
    stacks = tuple((f"model.py:{line} f",) for line in range(len(blocks)))
    told = seen(allocator=many, stacks=stacks, block_stacks=tuple(range(len(blocks))))
    assert len(told.stacks or ()) == STACKS_MAX
    assert [one.stack for one in told.blocks or ()][:6] == [None] * 5 + [STACKS_MAX - 1]


def refused(before: Moment, told: Allocator, free: int | None) -> Snapshot:
    """The snapshot of a refusal."""
    oom = OutOfMemory(
        source=told.source, requested_bytes=GIB, thread_id=told.pid, device_total_bytes=None, device_free_bytes=free,
        allocator=structs.replace(told, kv_pools=()), trace=(), stacks=(),
    )  # fmt: skip
    event = Event(kind="oom", timestamp=TIMESTAMP + 1, message="", gpu_uuid=told.gpu_uuid, pid=told.pid, oom=oom)
    return merge(at_refusal(before, event))


def gave_back() -> Allocator:
    """The trainer's allocator after it gave its free gigabyte back to the driver."""
    blocks = tuple(block for block in allocator().blocks or () if block.state == "active")
    return allocator(blocks=blocks, reserved_bytes=3 * GIB, inactive_split_bytes=0)


def test_a_process_that_gave_memory_back_does_not_hold_it_at_the_refusal() -> None:
    before = moment(
        sample([device(memory=memory(used=7 * GIB))], [process(TRAINER, used_bytes=6 * GIB)], allocators=(allocator(),))
    )
    then = refused(before, gave_back(), free=merge(before).free_bytes + GIB)
    (row,) = then.processes
    assert (row.used_bytes, row.reserved_bytes, then.used_bytes) == (5 * GIB, 3 * GIB, 6 * GIB)
    assert then.unattributed_bytes == merge(before).unattributed_bytes
    assert "2.0 GiB beside it" in row.unknown["used_bytes"]
    assert sum(block.size for block in then.blocks) == row.used_bytes


def test_where_nobody_told_what_was_free_the_driver_is_believed() -> None:
    (row,) = refused(BEFORE, gave_back(), free=None).processes
    assert (row.used_bytes, "used_bytes" in row.unknown) == (6 * GIB, False)


def test_a_gpu_moves_with_its_slice() -> None:
    whole, slice_ = device(memory=memory(used=9 * GIB)), instance(0, 1, memory=memory(10 * GIB, 7 * GIB, 0))
    listed, told = process(TRAINER, slice_.uuid, used_bytes=6 * GIB), allocator(gpu_uuid=slice_.uuid)
    before = moment(sample([whole, slice_], [listed], allocators=(told,)))
    then = refused(before, structs.replace(gave_back(), gpu_uuid=slice_.uuid), free=4 * GIB)
    assert [gpu.used_bytes for gpu in then.gpus] == [8 * GIB, 6 * GIB]
    assert [gpu.unattributed_bytes for gpu in then.gpus] == [gpu.unattributed_bytes for gpu in merge(before).gpus]


def test_an_engines_pages_are_those_of_the_reading_before() -> None:
    before = moment(sample([device()], [process(SERVER, used_bytes=4 * GIB)], allocators=(paged_allocator(),)))
    then = refused(before, paged_allocator(), free=merge(before).free_bytes)
    (row,) = then.processes
    assert row.purposes == merge(before).processes[0].purposes
    assert row.purposes is not None
    assert row.purposes["kv_used"] == GIB, "not all of the tensor, which live requests do not fill"
    assert "KV cache" in row.unknown["purposes"]


def test_an_event_without_blocks_has_those_of_a_reading_of_the_same_state() -> None:
    before = moment(sample([device()], [process(TRAINER, used_bytes=6 * GIB)], allocators=(allocator(),)))
    free = merge(before).free_bytes
    same = refused(before, allocator(blocks=None), free)
    assert same.blocks == merge(before).blocks
    later = refused(before, allocator(blocks=None, allocated_bytes=2 * GIB), free)
    assert [block.subtype for block in later.blocks] == ["opaque"], "which held other blocks"


def test_other_allocators_of_the_process_stay() -> None:
    beside = allocator(source="cupy", reserved_bytes=GIB, allocated_bytes=GIB, blocks=None, threads=None)
    before = moment(sample([device()], [process(TRAINER, used_bytes=6 * GIB)], allocators=(allocator(), beside)))
    (row,) = refused(before, allocator(), free=merge(before).free_bytes).processes
    assert (row.used_bytes, row.reserved_bytes, row.allocated_bytes) == (6 * GIB, 5 * GIB, 4 * GIB)
