"""One device of a snapshot, rolled back and forward: the allocator as it was at any of its steps."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from blackbox.analysis.purpose import purposes
from blackbox.analysis.purpose_course import Course
from blackbox.analysis.trace.device_findings import Context, DeviceFindings, findings
from blackbox.analysis.trace.entries import NO_STACK
from blackbox.analysis.trace.layout import is_default
from blackbox.analysis.trace.moments import MemoryRange, rows
from blackbox.analysis.trace.replay import Instant, Replay, replay
from blackbox.analysis.trace.situations import situations
from blackbox.model.parts import Allocator, AllocatorBlock, OwningStack
from blackbox.sources.memory_snapshot.parts import PID, SOURCE, TAKEN_AT, Purpose, device_uuid, purpose_of
from blackbox.sources.memory_snapshot.traces import DeviceTrace, Traces
from blackbox.wire.segments import pool_numbers

MICROSECONDS = 1e6


class DeviceReplay(NamedTuple):
    """A device and its replay."""

    recorded: DeviceTrace
    run: Replay
    context: Context
    found: DeviceFindings
    course: Course


def replayed_device(recorded: DeviceTrace, traces: Traces, stacks_max: int) -> DeviceReplay:
    """The device, and all that is told of it; `stacks_max` of each moment are told by themselves."""
    run = replay(recorded.trace, recorded.end, recorded.rules, recorded.passes)
    said = situations(run, recorded.facts)
    category_of, course, categories = purposes(run, traces.evidence)
    fraction = recorded.facts.memory_fraction
    context = Context(recorded.device, run, traces.stacks, category_of, stacks_max, fraction, categories)
    return DeviceReplay(recorded, run, context, findings(context, said), course)


def allocator_at(
    device: DeviceReplay, instant: Instant, usable_bytes: int | None = None, with_stacks: bool = False
) -> Allocator:
    """The allocator at an instant; `usable_bytes` is the largest free piece for the request in question, None: for any
    of the pool that serves everybody."""
    run = device.run
    listed = list(rows(run, instant))
    shared = {row.segment for row in listed if row.block is not None}
    free = [row for row in listed if row.block is None]
    owners = _owners(device, instant) if with_stacks else {}
    pools = pool_numbers(segment.pool for segment in instant.segments.at.values() if segment.pool is not None)
    return Allocator(
        pid=PID,
        start_time=None,
        gpu_uuid=device_uuid(device.recorded.device),
        taken_at=TAKEN_AT,
        source=SOURCE,
        reserved_bytes=run.reserved[instant.done],
        allocated_bytes=run.allocated[instant.done],
        inactive_split_bytes=sum(
            row.size for row in free if row.segment in shared and not instant.segments.at[row.segment].expandable
        ),
        requested_bytes=sum(max(0, run.requested_of(block)) for block in instant.allocated),
        largest_free_bytes=_largest(free, instant) if usable_bytes is None else usable_bytes,
        blocks=tuple(_block(device, instant, row, owners, pools) for row in listed),
        stacks=tuple(owners.values()) if with_stacks else None,
    )


def _largest(free: Sequence[MemoryRange], instant: Instant) -> int:
    """Of the pool that serves everybody."""
    return max((row.size for row in free if is_default(instant.segments.at[row.segment].pool)), default=0)


def _owners(device: DeviceReplay, instant: Instant) -> dict[tuple[int, Purpose], OwningStack]:
    """Live memory by stack and purpose, numbered."""
    run = device.run
    sums: dict[tuple[int, Purpose], list[int]] = defaultdict(lambda: [0, 0])
    for block in instant.allocated:
        stack = run.stack_of(block)
        if stack != NO_STACK:
            total = sums[stack, purpose_of(device.context.category_of(block))]
            total[0] += run.size[block]
            total[1] += 1
    return {
        key: OwningStack(device.context.stacks[key[0]], total[0], total[1], key[1].type, key[1].subtype, number)
        for number, (key, total) in enumerate(sums.items())
    }


def _block(
    device: DeviceReplay,
    instant: Instant,
    row: MemoryRange,
    owners: Mapping[tuple[int, Purpose], OwningStack],
    pools: Mapping[tuple[int, ...], int],
) -> AllocatorBlock:
    run, block = device.run, row.block
    segment = instant.segments.at[row.segment]
    pool = None if segment.pool is None else pools[segment.pool]
    if block is None:
        return AllocatorBlock(
            address=row.address, size=row.size, state="inactive", stream=segment.stream, segment=row.segment, pool=pool
        )
    purpose = purpose_of(device.context.category_of(block))
    asked = run.requested_of(block)
    owner = owners.get((run.stack_of(block), purpose))
    times = run.trace.time_us
    return AllocatorBlock(
        address=row.address,
        size=row.size,
        state="pending_free" if row.pending else "active",
        type=purpose.type,
        requested_bytes=None if asked < 0 else asked,
        subtype=purpose.subtype,
        type_source=purpose.type_source,
        stream=segment.stream,
        stack=None if owner is None else owner.id,
        segment=row.segment,
        pool=pool,
        allocated_at=times[block] / MICROSECONDS if times is not None and block < run.trace.steps else None,
    )
