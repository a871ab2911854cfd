"""The parts of a sample that a memory snapshot tells: one process, pid 0, on as many GPUs as it used."""

from collections.abc import Iterator
from typing import Any, cast

from msgspec import Struct, structs

from blackbox.analysis.rules import NO_RULES, CategoryRules
from blackbox.analysis.trace.device_findings import STACKS_MAX, DeviceFindings
from blackbox.analysis.trace.roll_forward import WrongStartError
from blackbox.model.parts import Allocator, AllocatorBlock, BlockState, Device, DeviceProcess, Memory, OwningStack
from blackbox.model.sample import Sample
from blackbox.sources.memory_snapshot.entry_columns import EntryColumns
from blackbox.sources.memory_snapshot.parts import (
    FREE,
    PID,
    POOL,
    SOURCE,
    TAKEN_AT,
    UNKNOWN_PURPOSE,
    SnapshotParts,
    device_uuid,
)
from blackbox.sources.memory_snapshot.replayed import ALL_STACKS_MAX, Replayed, Told, read_replayed
from blackbox.wire.report import NOT_KNOWN, OwnerStack
from blackbox.wire.segments import INACTIVE, DeviceMemory, SegmentError, read_segments
from blackbox.wire.stacks import OwnedBlocks, owner_stacks

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


class Beside(Struct, frozen=True):
    """Another snapshot in the same file."""

    place: str
    devices: tuple[DeviceFindings, ...]
    """Empty where its traces were not asked for, or are malformed."""


class Contents(Struct, frozen=True):
    """What is in a snapshot file."""

    sample: Sample
    timestamp: float | None
    """Unix seconds of the last step in its history; None without one."""
    replayed: Replayed | None = None
    """What its traces tell; None where nobody asked for it, or they are malformed."""
    host_bytes: int | None = None
    """Pinned memory of the host that the process held (PyTorch 2.14 with `record_host=True`); None where the file does
    not tell it."""
    place: str = ""
    """Of the snapshot in the file: the keys that lead to it; empty where it is the whole file."""
    beside: tuple[Beside, ...] = ()
    """The others, where the file holds several."""


def contents(snapshot: Any, parts: SnapshotParts, rules: CategoryRules = NO_RULES) -> Contents:
    """The sample in a snapshot, or in its list of segments alone, and what its traces tell. Raises `SegmentError`."""
    whole = whole_of(snapshot)
    if not isinstance(whole.get("segments"), list):
        raise SegmentError("it has no list of segments")
    memories = read_segments(whole["segments"])
    if sum(len(memory.blocks.address) for memory in memories.values()) > BLOCKS_MAX:
        raise SegmentError(f"it holds more than {BLOCKS_MAX} blocks")
    stacks = _stacks(whole)
    sample = Sample(
        source=SOURCE,
        taken_at=TAKEN_AT,
        devices=tuple(device_of(device, memory.reserved_bytes) for device, memory in memories.items()),
        processes=tuple(process_of(device) for device in memories),
        processes_taken_at=TAKEN_AT,
        allocators=tuple(_allocator(device, memory, stacks.get(device)) for device, memory in memories.items()),
    )
    replayed = None if parts == "end" else _replayed(whole, rules, parts)
    host_bytes = _host_bytes(whole.get("host_segments"))
    return Contents(sample, _last_step(whole.get("device_traces")), replayed, host_bytes)


def whole_of(snapshot: Any) -> dict[str, Any]:
    """A snapshot, also of the bare list of segments that PyTorch wrote up to 1.13."""
    return cast(dict[str, Any], snapshot) if isinstance(snapshot, dict) else {"segments": snapshot}


def at_moment(contents: Contents, told: Told) -> Contents:
    """The same with the device in question as it was at the moment in question; other devices as at the end."""
    sample, uuid = contents.sample, told.allocator.gpu_uuid
    held = device_of(told.device, told.allocator.reserved_bytes)
    return structs.replace(
        contents,
        sample=structs.replace(
            sample,
            devices=(*(device for device in sample.devices or () if device.uuid != uuid), held),
            processes=(
                *(process for process in sample.processes or () if process.gpu_uuid != uuid),
                process_of(told.device),
            ),
            allocators=(*(one for one in sample.allocators or () if one.gpu_uuid != uuid), told.allocator),
        ),
        timestamp=contents.timestamp if told.time is None else told.time,
    )


def device_of(device: int, held: int) -> Device:
    """A GPU of which its process held so much; nothing else is known of it."""
    return Device(
        uuid=device_uuid(device),
        index=device,
        name="",
        taken_at=TAKEN_AT,
        memory=Memory(total_bytes=held, used_bytes=held, free_bytes=0, driver_reserved_bytes=0, source=NO_DRIVER),
        unknown=DEVICE_UNKNOWN,
    )


def process_of(device: int) -> DeviceProcess:
    """The one process of a file, on one of its GPUs."""
    return DeviceProcess(
        pid=PID,
        gpu_uuid=device_uuid(device),
        used_bytes=None,
        kind="compute",
        name=None,
        user=None,
        uid=None,
        container=None,
        start_time=None,
        unknown=PROCESS_UNKNOWN,
    )


def _allocator(device: int, memory: DeviceMemory, owned: OwnedBlocks | None) -> Allocator:
    return Allocator(
        pid=PID,
        start_time=None,
        gpu_uuid=device_uuid(device),
        taken_at=TAKEN_AT,
        source=SOURCE,
        reserved_bytes=memory.reserved_bytes,
        allocated_bytes=memory.allocated_bytes,
        inactive_split_bytes=memory.inactive_split_bytes,
        requested_bytes=memory.requested_bytes,
        largest_free_bytes=memory.largest_free_bytes,
        blocks=tuple(_blocks(memory, {} if owned is None else owned.place_at)),
        stacks=None if owned is None else tuple(map(_stack, range(len(owned.stacks)), owned.stacks)),
    )


def _stack(place: int, stack: OwnerStack) -> OwningStack:
    """What its memory is for is not told."""
    return OwningStack(stack.frames, stack.allocated_bytes, stack.blocks, id=place)


def _blocks(memory: DeviceMemory, stack_at: dict[int, int]) -> Iterator[AllocatorBlock]:
    segment = 0
    for place, address in enumerate(memory.blocks.address):
        segment = address if memory.blocks.starts is None or memory.blocks.starts[place] else segment
        yield _block(memory, place, segment, stack_at.get(address))


def _block(memory: DeviceMemory, place: int, segment: int, stack: int | None) -> AllocatorBlock:
    columns = memory.blocks
    pool = 0 if columns.pool is None else columns.pool[place]
    state = columns.state[place]
    asked = NOT_KNOWN if columns.requested is None else columns.requested[place]
    purpose = FREE if state == INACTIVE else POOL if pool else UNKNOWN_PURPOSE
    return AllocatorBlock(
        address=columns.address[place],
        size=columns.size[place],
        state=STATES[state],
        requested_bytes=None if asked == NOT_KNOWN else asked,
        subtype=purpose.subtype,
        type_source=purpose.type_source,
        stream=None if columns.stream is None else columns.stream[place],
        stack=stack,
        segment=segment,
        pool=pool,
    )


def _stacks(whole: dict[str, Any]) -> dict[int, OwnedBlocks]:
    """By device. None where they are malformed, or nobody recorded them; what the blocks are for is not told."""
    try:
        return owner_stacks(whole["segments"], {})
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _replayed(whole: dict[str, Any], rules: CategoryRules, parts: SnapshotParts) -> Replayed | None:
    """None where they are malformed: the blocks tell most of what there is."""
    try:
        return read_replayed(whole, rules, ALL_STACKS_MAX if parts == "all_stacks" else STACKS_MAX, parts != "figures")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, WrongStartError):
        return None


def _host_bytes(segments: Any) -> int | None:
    """None as well where nothing was recorded: the key is there all the same."""
    try:
        sizes = [segment["total_size"] for segment in segments or ()]
    except (TypeError, KeyError):
        return None
    return sum(sizes) if sizes and all(type(size) is int and 0 <= size < 1 << 53 for size in sizes) else None


def _last_step(traces: Any) -> float | None:
    """When the newest step of any device's history was taken."""
    try:
        times = [_last_time(trace) for trace in traces if trace]
    except (TypeError, KeyError, IndexError):
        return None
    known = [time for time in times if type(time) is int and 0 < time < 1 << 53]
    return max(known) / 1e6 if known else None


def _last_time(trace: Any) -> Any:
    if isinstance(trace, EntryColumns):
        return None if trace.time_us is None else trace.time_us[-1]
    return trace[-1]["time_us"]
