"""What a rise is for, and whether the same stack has failed before."""

from typing import Any

from msgspec import structs

from blackbox.analysis.compare import compare
from blackbox.analysis.growth_origin import growth_origin
from blackbox.merge import merge
from blackbox.model.event import Event, OutOfMemory, TraceStep
from blackbox.model.forecast import GrowthOrigin
from blackbox.model.parts import Allocator, AllocatorBlock, OwningStack
from blackbox.model.snapshot import Snapshot
from tests.moments import GIB, TIMESTAMP, allocator, device, moment, process, sample

PID = 4711
LEAK, MODEL = ("model.py:3 forward", "train.py:9 <module>"), ("model.py:1 build", "train.py:2 <module>")


def holding(activations: int, weights: int, *, with_stacks: bool = True) -> Allocator:
    blocks = (
        AllocatorBlock(1 << 40, weights, "active", "weight"),
        AllocatorBlock(1 << 41, activations, "active", "activation"),
        AllocatorBlock(1 << 42, 8 * GIB, "inactive"),
    )
    stacks = OwningStack(MODEL, weights, 1, "weight"), OwningStack(LEAK, activations, 1, "activation")
    held = activations + weights
    made = allocator(PID, reserved_bytes=held + 8 * GIB, allocated_bytes=held, blocks=blocks)
    return structs.replace(made, stacks=stacks if with_stacks else None, threads=None)


def seen(told: Allocator) -> Snapshot:
    return merge(moment(sample([device()], [process(PID, used_bytes=40 * GIB)], allocators=(told,))))


def refusal(told: Allocator | None, at: float, **changes: Any) -> Event:
    fields: dict[str, Any] = {"trace": (), "stacks": ()} | changes
    oom = OutOfMemory(
        source="pytorch", requested_bytes=1, thread_id=1, device_total_bytes=None, device_free_bytes=None,
        allocator=told, **fields,
    )  # fmt: skip
    return Event(kind="oom", timestamp=TIMESTAMP + at, message="", gpu_uuid="GPU-0", pid=PID + round(at), oom=oom)


def origin(before: Allocator, after: Allocator, *refusals: Event) -> GrowthOrigin | None:
    snapshot = seen(after)
    return growth_origin(snapshot.processes[0], compare(seen(before), snapshot), refusals)


def test_the_purpose_and_the_stack_that_grew_most_are_told() -> None:
    found = origin(holding(2 * GIB, GIB), holding(9 * GIB, 2 * GIB))
    assert found is not None
    assert (found.purpose, found.purpose_rise_bytes) == ("activation", 7 * GIB)
    assert (found.frames, found.stack_rise_bytes, found.earlier_failures) == (LEAK, 7 * GIB, None)


def test_without_stacks_the_purpose_is_told_alone() -> None:
    before, after = (holding(size, GIB, with_stacks=False) for size in (GIB, 2 * GIB))
    found = origin(before, after)
    assert found is not None
    assert (found.purpose, found.frames) == ("activation", None)


def test_nothing_is_told_of_what_did_not_grow() -> None:
    assert origin(holding(GIB, GIB), holding(GIB, GIB)) is None


def test_failures_count_where_the_same_stack_had_filled_the_memory_or_asked_for_it() -> None:
    filled, model_filled = holding(9 * GIB, GIB), holding(GIB, 9 * GIB)
    asked = (TraceStep("alloc", 1, 1, stack=0), TraceStep("oom", 0, 1, stack=1))
    found = origin(
        holding(2 * GIB, GIB),
        holding(9 * GIB, GIB),
        refusal(filled, 1),
        refusal(model_filled, 2),
        refusal(None, 3),
        refusal(None, 4, trace=asked, stacks=(MODEL, LEAK)),
        structs.replace(refusal(None, 5), oom=None),
    )
    assert found is not None
    assert found.earlier_failures is not None
    assert structs.astuple(found.earlier_failures) == (2, TIMESTAMP + 1, TIMESTAMP + 4, PID + 4)
