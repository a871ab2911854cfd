"""Writes the simulated allocator's state the way versions of PyTorch write theirs."""

from collections.abc import Mapping
from typing import Any

from blackbox.sources.simulated.allocator import Block, CachingAllocator, Segment
from blackbox.wire.segments import PENDING_FREE, read_segments

Version = tuple[int, int]
STATES = {"active": "active_allocated", "pending_free": "active_pending_free", "inactive": "inactive"}


Frames = list[dict[str, Any]]


def segments(
    allocator: CachingAllocator, device: int, version: Version, frames: Mapping[int, Frames] | None = None
) -> list[dict[str, Any]]:
    """What `torch.cuda.memory_snapshot()` lists for one device; `frames` by the address of a live block."""
    return [_segment(segment, device, version, frames or {}) for segment in allocator._segments]


def _segment(segment: Segment, device: int, version: Version, frames: Mapping[int, Frames]) -> dict[str, Any]:
    blocks = list(segment.blocks())
    live = [block for block in blocks if block.state != "inactive"]
    written: dict[str, Any] = {
        "device": device,
        "address": segment.address,
        "total_size": segment.size,
        "allocated_size": sum(block.size for block in blocks if block.state == "active"),
        "active_size": sum(block.size for block in live),
        "segment_type": "small" if segment.pool.small else "large",
        "blocks": [_block(block, version, frames) for block in blocks],
    }
    if version >= (2, 0):
        written |= {"stream": segment.pool.stream, "requested_size": sum(block.requested_bytes for block in live)}
    if version >= (2, 1):
        written |= {"segment_pool_id": (0, 0), "is_expandable": False, "frames": []}
    if version >= (2, 13):
        written["registration_counter"] = -1
    return written


def _block(block: Block, version: Version, frames: Mapping[int, Frames]) -> dict[str, Any]:
    written: dict[str, Any] = {"size": block.size, "state": STATES[block.state]}
    if version < (2, 1):
        return written | {"history": [{"addr": block.address, "real_size": block.requested_bytes, "frames": []}]}
    # of a free block, PyTorch still tells the request that it served last
    asked = block.requested_bytes or block.size
    recorded = frames.get(block.address, []) if block.state != "inactive" else []
    return {"address": block.address, "requested_size": asked, "frames": recorded, **written}


def stats(allocator: CachingAllocator, version: Version) -> dict[str, Any]:
    """What `torch.cuda.memory_stats_as_nested_dict()` counts."""
    pending = [block for segment in allocator._segments for block in segment.blocks() if block.state == "pending_free"]
    current = {
        "allocated_bytes": allocator.allocated_bytes,
        "reserved_bytes": allocator.reserved_bytes,
        "active_bytes": allocator.allocated_bytes + sum(block.size for block in pending),
        "inactive_split_bytes": allocator.inactive_split_bytes,
    }
    if version >= (2, 0):
        current["requested_bytes"] = allocator.requested_bytes + sum(block.requested_bytes for block in pending)
    return _nested(current)


def stats_of(segments: list[dict[str, Any]], device: int) -> dict[str, Any]:
    """The counters of a program that holds these segments."""
    memory = read_segments(segments).get(device)
    if memory is None:
        return _nested(dict.fromkeys(("allocated_bytes", "reserved_bytes", "active_bytes", "inactive_split_bytes"), 0))
    pending = [
        size for size, state in zip(memory.blocks.size, memory.blocks.state, strict=True) if state == PENDING_FREE
    ]
    return _nested(
        {
            "allocated_bytes": memory.allocated_bytes,
            "reserved_bytes": memory.reserved_bytes,
            "active_bytes": memory.allocated_bytes + sum(pending),
            "inactive_split_bytes": memory.inactive_split_bytes,
        }
    )


def _nested(current: dict[str, int]) -> dict[str, Any]:
    return {
        name: {pool: {"current": value if pool == "all" else 0} for pool in ("all", "large_pool", "small_pool")}
        for name, value in current.items()
    } | {"num_ooms": 0, "num_alloc_retries": 0}
