"""The parts of a sample that a memory snapshot tells: one process, pid 0, on as many GPUs as it used."""

from typing import Any, NamedTuple, cast

from msgspec import Struct

from blackbox.model.sample import (
    Allocator,
    AllocatorBlock,
    BlockState,
    Device,
    DeviceProcess,
    Memory,
    OwningStack,
    Sample,
)
from blackbox.sources.memory_snapshot.history import History, read_histories
from blackbox.wire.report import NOT_KNOWN
from blackbox.wire.segments import INACTIVE, DeviceMemory, SegmentError, read_segments
from blackbox.wire.stacks import owner_stacks

SOURCE = "pytorch"
PID = 0
TAKEN_AT = 0.0
"""All parts are of one instant."""
NO_DRIVER = ""
BLOCKS_MAX = 1_000_000
"""Ten times what the largest training runs show; their JSON takes 150 MB."""
STATES: tuple[BlockState, ...] = ("inactive", "active", "pending_free")

NOT_TOLD = "a memory snapshot does not tell it"
AT_LEAST = f"{NOT_TOLD}; at least what this process held"
DEVICE_UNKNOWN = {
    "uuid": "a memory snapshot numbers the GPUs as its process did",
    "name": NOT_TOLD,
    "total_bytes": AT_LEAST,
    "used_bytes": AT_LEAST,
    "free_bytes": NOT_TOLD,
    "driver_reserved_bytes": NOT_TOLD,
    "used_percent": NOT_TOLD,
    "unattributed_bytes": NOT_TOLD,
}
PROCESS_UNKNOWN = {"pid": NOT_TOLD, "name": NOT_TOLD}


class Purpose(NamedTuple):
    """What a block is for, as far as a snapshot tells; its type is always `other`."""

    subtype: str | None
    type_source: str | None


FREE = Purpose(None, None)
NOT_KNOWN_PURPOSE = Purpose(None, "none")
POOL = Purpose("graph_pool", "framework")


class Contents(Struct, frozen=True):
    """What is in a snapshot file."""

    sample: Sample
    timestamp: float | None
    """Unix seconds of the last step in its history; None without one."""
    histories: tuple[History, ...] = ()
    """Of the devices that have one."""


def contents(snapshot: Any) -> Contents:
    """The sample in a snapshot, or in its list of segments alone. Raises `SegmentError`."""
    whole: dict[str, Any] = cast(dict[str, Any], snapshot) if isinstance(snapshot, dict) else {"segments": snapshot}
    if not isinstance(whole.get("segments"), list):
        raise SegmentError("it has no list of segments")
    memories = read_segments(whole["segments"])
    if sum(len(memory.blocks.address) for memory in memories.values()) > BLOCKS_MAX:
        raise SegmentError(f"it holds more than {BLOCKS_MAX} blocks")
    stacks = _stacks(whole)
    sample = Sample(
        source=SOURCE,
        taken_at=TAKEN_AT,
        devices=tuple(_device(device, memory) for device, memory in memories.items()),
        processes=tuple(_process(device) for device in memories),
        processes_taken_at=TAKEN_AT,
        allocators=tuple(_allocator(device, memory, stacks.get(device)) for device, memory in memories.items()),
    )
    return Contents(sample, _last_step(whole.get("device_traces")), _histories(whole))


def _uuid(device: int) -> str:
    return f"device-{device}"


def _device(device: int, memory: DeviceMemory) -> Device:
    held = memory.reserved_bytes
    return Device(
        uuid=_uuid(device),
        index=device,
        name="",
        taken_at=TAKEN_AT,
        memory=Memory(total_bytes=held, used_bytes=held, free_bytes=0, driver_reserved_bytes=0, source=NO_DRIVER),
        unknown=DEVICE_UNKNOWN,
    )


def _process(device: int) -> DeviceProcess:
    return DeviceProcess(
        pid=PID,
        gpu_uuid=_uuid(device),
        used_bytes=None,
        kind="compute",
        name=None,
        user=None,
        uid=None,
        container=None,
        start_time=None,
        unknown=PROCESS_UNKNOWN,
    )


def _allocator(device: int, memory: DeviceMemory, stacks: tuple[OwningStack, ...] | None) -> Allocator:
    return Allocator(
        pid=PID,
        start_time=None,
        gpu_uuid=_uuid(device),
        taken_at=TAKEN_AT,
        source=SOURCE,
        reserved_bytes=memory.reserved_bytes,
        allocated_bytes=memory.allocated_bytes,
        inactive_split_bytes=memory.inactive_split_bytes,
        requested_bytes=memory.requested_bytes,
        largest_free_bytes=memory.largest_free_bytes,
        blocks=tuple(_block(memory, place) for place in range(len(memory.blocks.address))),
        stacks=stacks,
    )


def _block(memory: DeviceMemory, place: int) -> AllocatorBlock:
    columns = memory.blocks
    state = columns.state[place]
    asked = NOT_KNOWN if columns.requested is None else columns.requested[place]
    purpose = FREE if state == INACTIVE else NOT_KNOWN_PURPOSE if memory.in_default_pool[place] else POOL
    return AllocatorBlock(
        address=columns.address[place],
        size=columns.size[place],
        state=STATES[state],
        requested_bytes=None if asked == NOT_KNOWN else asked,
        subtype=purpose.subtype,
        type_source=purpose.type_source,
        stream=None if columns.stream is None else columns.stream[place],
    )


def _stacks(whole: dict[str, Any]) -> dict[int, tuple[OwningStack, ...]]:
    """By device. None where they are malformed, or nobody recorded them; what the blocks are for is not told."""
    try:
        told = owner_stacks(whole["segments"], {})
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
    return {
        device: tuple(OwningStack(stack.frames, stack.allocated_bytes, stack.blocks) for stack in stacks)
        for device, stacks in told.items()
    }


def _histories(whole: dict[str, Any]) -> tuple[History, ...]:
    """None where they are malformed: the blocks tell most of what there is."""
    try:
        return read_histories(whole)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return ()


def _last_step(traces: Any) -> float | None:
    """When the newest step of any device's history was taken."""
    try:
        times = [trace[-1]["time_us"] for trace in traces if trace]
    except (TypeError, KeyError, IndexError):
        return None
    known = [time for time in times if type(time) is int and 0 < time < 1 << 53]
    return max(known) / 1e6 if known else None
