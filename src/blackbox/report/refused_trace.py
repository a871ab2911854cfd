"""What an agent shipped of a failed allocation, read as the snapshot file that its program would have written then."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from msgspec import structs

from blackbox.analysis.purpose_frames import GRAPH_POOLS
from blackbox.analysis.trace.device_findings import Category
from blackbox.analysis.trace.entries import ACTIONS, OOM
from blackbox.analysis.trace.roll_forward import WrongStartError
from blackbox.model.event import OutOfMemory, TraceSegment, TraceStep
from blackbox.model.parts import AllocatorBlock
from blackbox.model.text import size
from blackbox.sources.memory_snapshot.parts import BLOCK_TYPES
from blackbox.sources.memory_snapshot.replayed import Replayed, replayed_of
from blackbox.sources.memory_snapshot.traces import FRACTION, read_traces
from blackbox.wire.frames import frame_of

STATES = {"inactive": "inactive", "active": "active_allocated", "pending_free": "active_pending_free"}
NAMES = {block: name for name, block in BLOCK_TYPES.items() if name != GRAPH_POOLS}
"""Type and subtype of a block -> the category; never by its pool."""


def replayed_refusal(oom: OutOfMemory, device: int) -> Replayed | None:
    """The trace up to the refusal, and the allocator as it was then, on a GPU of that number; None where the agent
    told no segments, or what it told contradicts itself."""
    allocator = oom.allocator
    if allocator is None or not allocator.blocks or not oom.segments:
        return None
    try:
        traces = read_traces(_snapshot(oom, allocator.blocks, device))
        held = {block.address: category for block in allocator.blocks if (category := _category(block)) is not None}
        found = replayed_of(traces._replace(evidence=traces.evidence._replace(held=held)))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, WrongStartError):
        return None
    if found is None or found.told.kind != "refusal":
        return None
    usable = found.told.allocator.largest_free_bytes
    notes = (*found.told.notes, *_of_the_host(oom))
    told = structs.replace(found.told, allocator=structs.replace(allocator, largest_free_bytes=usable), notes=notes)
    return structs.replace(found, told=told)


def _of_the_host(oom: OutOfMemory) -> tuple[str, ...]:
    held = oom.host_pinned_bytes
    return () if held is None else (f"pinned on the host it held {size(held)} at that moment",)


def _snapshot(oom: OutOfMemory, blocks: Sequence[AllocatorBlock], device: int) -> dict[str, Any]:
    frames: dict[str, dict[str, Any]] = {}
    stacks = [[frames.setdefault(line, frame_of(line)) for line in stack] for stack in oom.stacks]
    numbers = oom.block_stacks or [-1] * len(blocks)
    written = [
        {
            "size": block.size,
            "state": STATES[block.state],
            "frames": stacks[number] if number >= 0 else [],
            "address": block.address,
            **({} if block.requested_bytes is None else {"requested_size": block.requested_bytes}),
        }
        for block, number in zip(blocks, numbers, strict=True)
    ]
    settings = oom.settings
    return {
        "segments": _segments(oom.segments, written, device),
        "device_traces": [*[[]] * device, [_entry(step, stacks) for step in oom.trace]],
        "external_annotations": [structs.asdict(scope) for scope in oom.scopes],
        "allocator_settings": None
        if settings is None
        else {
            "max_split_size": -1 if settings.max_split_bytes is None else settings.max_split_bytes,
            "expandable_segments": settings.expandable,
            "roundup_power2_divisions": {str(1 << place): count for place, count in enumerate(settings.divisions)},
            FRACTION: settings.memory_fraction,
        },
    }


def _segments(segments: Sequence[TraceSegment], blocks: Sequence[dict[str, Any]], device: int) -> list[dict[str, Any]]:
    starts = [segment.address for segment in segments]
    held: list[list[dict[str, Any]]] = [[] for _ in segments]
    for block in blocks:
        held[max(0, bisect_right(starts, block["address"]) - 1)].append(block)
    return [
        {
            "device": device,
            "address": segment.address,
            "total_size": segment.size,
            "stream": segment.stream,
            "segment_type": "small" if segment.small else "large",
            "is_expandable": segment.expandable,
            "frames": ["recorded"] if segment.recorded else [],
            "blocks": inside,
            **({} if segment.pool is None else {"segment_pool_id": segment.pool}),
        }
        for segment, inside in zip(segments, held, strict=True)
    ]


def _entry(step: TraceStep, stacks: Sequence[list[dict[str, Any]]]) -> dict[str, Any]:
    place = "device_free" if ACTIONS.get(step.action) == OOM else "addr"
    optional = {
        "time_us": step.time_us,
        "pool_id": step.pool,
        "frames": None if step.stack is None else stacks[step.stack],
    }
    return {
        "action": step.action,
        place: step.address,
        "size": step.size,
        "stream": step.stream or 0,
        "user_metadata": step.tag or "",
        **{key: value for key, value in optional.items() if value is not None},
    }


def _category(block: AllocatorBlock) -> Category | None:
    """What the agent says that a live block belongs to, by a tensor it saw or by what is left; never by its pool."""
    name = NAMES.get((block.type, block.subtype)) if block.state == "active" else None
    return None if name is None or block.type_source is None else Category(name, block.type_source)
