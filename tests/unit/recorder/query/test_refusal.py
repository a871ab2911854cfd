"""The moment of a refusal: the process as its agent saw it then, with the stack of each block."""

from typing import Any

from msgspec import structs

from blackbox.merge import merge
from blackbox.model.event import Event, OutOfMemory
from blackbox.model.parts import Allocator
from blackbox.recorder.query.refusal import STACKS_MAX, at_refusal
from tests.moments import GIB, TIMESTAMP, TRAINER, allocator, device, moment, process, sample

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
