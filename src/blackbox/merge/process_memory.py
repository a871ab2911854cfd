"""What one process holds on one GPU: its rows, made so that they agree with each other to the byte."""

from collections.abc import Iterator

from msgspec import Struct, structs

from blackbox.merge.blocks import block_rows, blocks_bytes, opaque_row
from blackbox.merge.selection import Selection
from blackbox.merge.stacks import stack_rows, stacks_bytes
from blackbox.merge.threads import main_thread, owned_bytes, thread_rows
from blackbox.model.sample import Allocator, DeviceProcess
from blackbox.model.snapshot import Block, Process, Stack, Thread

PROCESS_KEYS = frozenset(Process.__struct_fields__)
NO_REPORT = "no allocator reports"
OTHER_USER = "another user's process: ask with a token or over the Unix socket"
COUNTERS_ONLY = "the allocator told its totals alone"
RESERVED_UNKNOWN = {why: {"reserved_bytes": f"{why}; equals used_bytes"} for why in (NO_REPORT, OTHER_USER)}
UNLISTED = DeviceProcess(
    pid=0,
    gpu_uuid="",
    used_bytes=None,
    kind="compute",
    name=None,
    user=None,
    uid=None,
    container=None,
    start_time=None,
    unknown={"name": "the driver does not list this process"},
)


class Holding(Struct, frozen=True, kw_only=True):
    """A process on a GPU. `blocks` sum to `process.used_bytes`, `threads` to its allocated (or used) bytes, and so do
    `stacks`, where there are any."""

    process: Process
    blocks: list[Block]
    threads: tuple[Thread, ...]
    stacks: tuple[Stack, ...]
    allocators: tuple[Allocator, ...]
    opaque: str | None
    """Why nobody tells its blocks; None where an allocator does."""
    unmeasured: bool
    """The driver does not say what the process uses."""


def holdings(selection: Selection) -> list[Holding]:
    """Every process on every selected GPU: those the driver lists, and those only an allocator knows."""
    order = {device.uuid: (place, device.index) for place, device in enumerate(selection.devices)}
    listed = {(row.gpu_uuid, row.pid): row for row in selection.processes}
    places = sorted(listed.keys() | selection.allocators.keys(), key=lambda place: (order[place[0]][0], place[1]))
    return [
        _holding(
            pid,
            order[uuid][1],
            uuid,
            listed.get((uuid, pid)),
            tuple(_agreeing(selection.allocators.get((uuid, pid), ()))),
            (uuid, pid) in selection.withheld,
        )
        for uuid, pid in places
    ]


def _agreeing(allocators: tuple[Allocator, ...]) -> Iterator[Allocator]:
    """The reports, less any detail that contradicts its own totals."""
    for allocator in allocators:
        agreed = allocator
        if agreed.allocated_bytes > agreed.reserved_bytes:
            agreed = structs.replace(agreed, allocated_bytes=agreed.reserved_bytes)
        if agreed.blocks is not None and not _may_hold(agreed, blocks_bytes(agreed.blocks), agreed.reserved_bytes):
            agreed = structs.replace(agreed, blocks=None, kv_pools=())
        if agreed.threads is not None and not _may_hold(agreed, owned_bytes(agreed), agreed.allocated_bytes):
            agreed = structs.replace(agreed, threads=None)
        if stacks_bytes(agreed) > agreed.allocated_bytes:
            agreed = structs.replace(agreed, stacks=None)
        yield agreed


def _may_hold(allocator: Allocator, parts: int, whole: int) -> bool:
    """Whether details sum to their total; older ones may sum to less, since more has been allocated meanwhile."""
    return parts == whole if allocator.details_taken_at is None else parts <= whole


def _holding(
    pid: int,
    gpu: int,
    uuid: str,
    listed: DeviceProcess | None,
    allocators: tuple[Allocator, ...],
    withheld: bool,
) -> Holding:
    if not allocators and listed is not None:
        return _seen_from_outside(pid, gpu, listed, OTHER_USER if withheld else NO_REPORT)
    blocks = block_rows(pid, gpu, allocators)
    explained = sum(block.size for block in blocks)
    process = _told_from_inside(pid, gpu, uuid, listed, allocators, explained)
    if process.used_bytes > explained:
        blocks.append(opaque_row(pid, gpu, process.used_bytes - explained))
    return Holding(
        process=process,
        blocks=blocks,
        threads=thread_rows(pid, gpu, allocators, listed),
        stacks=stack_rows(pid, gpu, allocators),
        allocators=allocators,
        opaque=None if any(allocator.blocks is not None for allocator in allocators) else COUNTERS_ONLY,
        unmeasured=listed is None or listed.used_bytes is None,
    )


def _seen_from_outside(pid: int, gpu: int, listed: DeviceProcess, why: str) -> Holding:
    """A process of which only the driver tells: one block, one thread."""
    used = listed.used_bytes or 0
    return Holding(
        process=_row(pid, gpu, listed.gpu_uuid, listed, used, used, None, RESERVED_UNKNOWN[why]),
        blocks=[opaque_row(pid, gpu, used)] if used else [],
        threads=(main_thread(pid, gpu, listed, used),),
        stacks=(),
        allocators=(),
        opaque=why,
        unmeasured=listed.used_bytes is None,
    )


def _told_from_inside(
    pid: int,
    gpu: int,
    uuid: str,
    listed: DeviceProcess | None,
    allocators: tuple[Allocator, ...],
    explained: int,
) -> Process:
    claimed = max(explained, sum(allocator.reserved_bytes for allocator in allocators))
    driver_says = listed.used_bytes if listed is not None else None
    used = claimed if driver_says is None else max(driver_says, claimed)
    allocated = sum(allocator.allocated_bytes for allocator in allocators)
    unknown = {key: why for one in allocators for key, why in one.unknown.items() if key in PROCESS_KEYS}
    if used != driver_says:
        unknown["used_bytes"] = _why_claimed(driver_says)
    return _row(pid, gpu, uuid, listed, used, claimed, allocated, unknown)


def _why_claimed(driver_says: int | None) -> str:
    if driver_says is None:
        return "the driver does not say; at least what its allocator holds"
    return f"the driver said {driver_says} at another instant; what its allocator holds is larger"


def _row(
    pid: int,
    gpu: int,
    uuid: str,
    listed: DeviceProcess | None,
    used_bytes: int,
    reserved_bytes: int,
    allocated_bytes: int | None,
    unknown: dict[str, str],
) -> Process:
    if listed is None:
        listed = UNLISTED
    return Process(
        pid=pid,
        name=listed.name or "",
        used_bytes=used_bytes,
        reserved_bytes=reserved_bytes,
        gpu=gpu,
        gpu_uuid=uuid,
        allocated_bytes=allocated_bytes,
        user=listed.user,
        container=listed.container,
        start_time=listed.start_time,
        kind=listed.kind,
        unknown=_unknown(listed, allocated_bytes, unknown),
    )


def _unknown(listed: DeviceProcess, allocated_bytes: int | None, unknown: dict[str, str]) -> dict[str, str]:
    if listed.unknown:
        unknown = {key: why for key, why in listed.unknown.items() if key in PROCESS_KEYS} | unknown
    if listed.name is None and "name" not in unknown:
        unknown = unknown | {"name": "not readable"}
    if listed.used_bytes is None and allocated_bytes is None and "used_bytes" not in unknown:
        unknown = unknown | {"used_bytes": "the driver does not say"}
    return unknown
