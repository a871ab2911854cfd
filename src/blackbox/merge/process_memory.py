"""The memory of one process on one GPU: its rows in a snapshot, which agree with each other to the byte."""

import time
from collections.abc import Callable, Iterator

from msgspec import Struct, structs

from blackbox.merge.block_part import BlockPart, block_parts
from blackbox.merge.blocks import blocks_bytes, opaque_row
from blackbox.merge.claims import Claim, capped, excessive
from blackbox.merge.identity_cache import UNUSED_SECONDS_MAX
from blackbox.merge.limits import tightest
from blackbox.merge.purposes import purposes_of
from blackbox.merge.selection import Selection
from blackbox.merge.stacks import stack_rows, stacks_bytes
from blackbox.merge.threads import main_thread, owned_bytes, thread_rows
from blackbox.model.identity import ProcessKey
from blackbox.model.parts import Allocator, DeviceProcess
from blackbox.model.snapshot import Block, Process, Stack, Thread
from blackbox.model.text import size

PROCESS_KEYS = frozenset(Process.__struct_fields__)
NO_REPORT = "no allocator reports"
OTHER_USER = "another user's process: ask with a token or over the Unix socket"
PIDS_NAMED_MAX = 8
"""Pids listed in one reason: a longer list would hide the reason itself."""
ROWS_KEPT_MAX = 16_384
"""Rows of processes that only the driver reports, kept of a period, and as many of the one before: the GPUs of two
machines with 1,000 processes on each, 32 MB."""
COUNTERS_ONLY = "the allocator told its totals alone"
RESERVED_UNKNOWN = {why: {"reserved_bytes": f"{why}; equals used_bytes"} for why in (NO_REPORT, OTHER_USER)}
UnreportedKey = tuple[str, int, int, str]
"""UUID of the GPU, pid, index of the GPU and reason."""
NOT_LISTED = DeviceProcess(
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


class UnreportedRows:
    """The rows of processes that only the driver reports, kept while nothing in the driver's row is different: then the
    sources hand on the same object, and a recording an equal one. Where only the amount is different, they are copied
    with the new one, which costs a third of making them. Forgets what was not asked for lately, so that
    processes which ended leave nothing behind. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._known: dict[UnreportedKey, tuple[DeviceProcess, ProcessMemory]] = {}
        """The driver's row, and what was made of it: those asked for in the period that runs. A newer row of the
        process takes the place of the one before."""
        self._older: dict[UnreportedKey, tuple[DeviceProcess, ProcessMemory]] = {}
        """Those of the period before."""

    def of(self, listed: DeviceProcess, gpu: int, why: str) -> "ProcessMemory":
        """One block, one thread. `why` is the reason."""
        key = listed.gpu_uuid, listed.pid, gpu, why
        known = self._known.get(key) or self._older.get(key)
        if known is None:
            known = listed, _unreported(listed.pid, gpu, listed, why)
        elif known[0] is not listed:
            known = listed, _moved(*known, listed) or _unreported(listed.pid, gpu, listed, why)
        self._known[key] = known
        return known[1]

    def forget(self) -> None:
        """Begins a new period where the one that runs is over, or holds too much. Called once for all processes of a
        moment."""
        now = self._clock()
        if now - self._since > UNUSED_SECONDS_MAX or len(self._known) >= ROWS_KEPT_MAX:
            # replaced, so that a thread which looks into them is not disturbed
            self._older, self._known, self._since = self._known, {}, now


class ProcessMemory(Struct, frozen=True, kw_only=True, gc=False):
    """A process on a GPU. Its blocks sum to `process.used_bytes`; `threads`, and `stacks` where there are any, to its
    allocated bytes (or used bytes, where no allocator reports)."""

    process: Process
    parts: tuple[BlockPart, ...]
    """Its blocks, by allocator."""
    opaque: Block | None
    """The memory that no allocator explains; None where there is none."""
    threads: tuple[Thread, ...]
    stacks: tuple[Stack, ...]
    allocators: tuple[Allocator, ...]
    unreported_reason: str | None
    """Why no allocator reports its blocks; None where one does."""
    unmeasured: bool
    """The driver does not report how much the process uses."""


def process_memory(selection: Selection) -> list[ProcessMemory]:
    """Every process on every selected GPU: those the driver lists, and those that only an allocator reports. Ordered by
    device, then pid."""
    order = {device.uuid: (position, device.index) for position, device in enumerate(selection.devices)}
    listed = {(row.gpu_uuid, row.pid): row for row in selection.processes}
    reported = selection.allocators
    keys = [*listed, *(key for key in reported if key not in listed)]
    keys.sort(key=lambda key: (order[key[0]][0], key[1]))  # mostly so already
    allocators = {key: tuple(_consistent(reported[key])) for key in keys if key in reported} if reported else {}
    claims = [_claim(key, order[key[0]][1], reports, listed.get(key)) for key, reports in allocators.items() if reports]
    for key, believed_bytes in (excessive(selection, claims) if claims else {}).items():
        allocators[key] = tuple(capped(allocators[key], believed_bytes))
    _unreported_rows.forget()
    rows: list[ProcessMemory] = []
    for key in keys:
        gpu, row, reports = order[key[0]][1], listed.get(key), allocators.get(key, ())
        if row is not None and not reports:
            rows.append(unreported_row(selection, row, gpu))
        else:
            rows.append(_reported(key[1], gpu, key[0], row, reports))
    return rows


def unreported_row(selection: Selection, listed: DeviceProcess, gpu: int) -> ProcessMemory:
    """The rows of a process of a selection that only the driver reports."""
    is_withheld = (listed.gpu_uuid, listed.pid) in selection.withheld
    return _unreported_rows.of(listed, gpu, OTHER_USER if is_withheld else NO_REPORT)


_unreported_rows = UnreportedRows()


def name_pids(pids: list[int]) -> str:
    """Pids as text, for example `pid 1, 2, 3 and 5 more`."""
    named = ", ".join(str(pid) for pid in pids[:PIDS_NAMED_MAX])
    rest = len(pids) - PIDS_NAMED_MAX
    return f"pid {named} and {rest} more" if rest > 0 else f"pid {named}"


def unmeasured_reason(pids: list[int]) -> str:
    """Why what these processes do not use is unknown."""
    return f"the driver does not say what {name_pids(pids)} uses"


def _claim(key: ProcessKey, gpu: int, allocators: tuple[Allocator, ...], listed: DeviceProcess | None) -> Claim:
    claimed_bytes = sum(allocator.reserved_bytes for allocator in allocators)
    if any(allocator.kv_pools for allocator in allocators):  # pages may lie outside of the allocator's own blocks
        claimed_bytes = max(claimed_bytes, sum(part.bytes for part in block_parts(key[1], gpu, allocators)))
    return Claim(key, claimed_bytes, None if listed is None else listed.used_bytes)


def _consistent(allocators: tuple[Allocator, ...]) -> Iterator[Allocator]:
    """The reports, without details that contradict their own totals."""
    for reported in allocators:
        checked = reported
        if checked.allocated_bytes > checked.reserved_bytes:
            checked = structs.replace(checked, allocated_bytes=checked.reserved_bytes)
        if checked.blocks is not None and not _sums_agree(
            checked, blocks_bytes(checked.blocks), checked.reserved_bytes
        ):
            checked = structs.replace(checked, blocks=None, kv_pools=())
        if checked.threads is not None and not _sums_agree(checked, owned_bytes(checked), checked.allocated_bytes):
            checked = structs.replace(checked, threads=None)
        if (checked.inactive_split_bytes or 0) > checked.reserved_bytes:
            checked = structs.replace(checked, inactive_split_bytes=None)
        if stacks_bytes(checked) > checked.allocated_bytes:
            checked = structs.replace(checked, stacks=None)
        yield checked


def _sums_agree(allocator: Allocator, parts: int, whole: int) -> bool:
    """Whether details sum to their total. Details older than the total may sum to less: more has been allocated
    since."""
    return parts == whole if allocator.details_taken_at is None else parts <= whole


def _reported(
    pid: int, gpu: int, uuid: str, listed: DeviceProcess | None, allocators: tuple[Allocator, ...]
) -> ProcessMemory:
    parts = block_parts(pid, gpu, allocators)
    explained_bytes = sum(part.bytes for part in parts)
    process = _reported_row(pid, gpu, uuid, listed, allocators, explained_bytes)
    rest = process.used_bytes - explained_bytes
    return ProcessMemory(
        process=process,
        parts=parts,
        opaque=opaque_row(pid, gpu, rest) if rest > 0 else None,
        threads=thread_rows(pid, gpu, allocators, listed),
        stacks=stack_rows(pid, gpu, allocators),
        allocators=allocators,
        unreported_reason=None if any(allocator.blocks is not None for allocator in allocators) else COUNTERS_ONLY,
        unmeasured=listed is None or listed.used_bytes is None,
    )


def _unreported(pid: int, gpu: int, listed: DeviceProcess, why: str) -> ProcessMemory:
    """The rows of a process that only the driver reports: one block, one thread. `why` is the reason."""
    used = listed.used_bytes or 0
    return ProcessMemory(
        process=_row(pid, gpu, listed.gpu_uuid, listed, used, used, None, RESERVED_UNKNOWN[why]),
        parts=(),
        opaque=opaque_row(pid, gpu, used) if used else None,
        threads=(main_thread(pid, gpu, listed, used),),
        stacks=(),
        allocators=(),
        unreported_reason=why,
        unmeasured=listed.used_bytes is None,
    )


def _moved(before: DeviceProcess, made: ProcessMemory, listed: DeviceProcess) -> ProcessMemory | None:
    """The rows of a process that only the driver reports, where that differs in the amount at most; else None."""
    used = listed.used_bytes
    if not used or not before.used_bytes or structs.replace(before, used_bytes=used) != listed:
        return None
    return moved_row(made, listed)


def moved_row(made: ProcessMemory, listed: DeviceProcess) -> ProcessMemory:
    """The rows of a process that only the driver reports, which differs from that of the rows in the amount at most."""
    used = listed.used_bytes
    if not used or used == made.process.used_bytes:
        return made
    return structs.replace(
        made,
        process=structs.replace(made.process, used_bytes=used, reserved_bytes=used),
        opaque=None if made.opaque is None else structs.replace(made.opaque, size=used),
        threads=tuple(structs.replace(thread, allocated_bytes=used) for thread in made.threads),
    )


def _reported_row(
    pid: int,
    gpu: int,
    uuid: str,
    listed: DeviceProcess | None,
    allocators: tuple[Allocator, ...],
    explained_bytes: int,
) -> Process:
    claimed_bytes = max(explained_bytes, sum(allocator.reserved_bytes for allocator in allocators))
    driver_bytes = listed.used_bytes if listed is not None else None
    used = claimed_bytes if driver_bytes is None else max(driver_bytes, claimed_bytes)
    allocated = sum(allocator.allocated_bytes for allocator in allocators)
    unknown = {key: why for one in allocators for key, why in one.unknown.items() if key in PROCESS_KEYS}
    if used != driver_bytes:
        unknown["used_bytes"] = _why_corrected(driver_bytes)
    row = _row(pid, gpu, uuid, listed, used, claimed_bytes, allocated, unknown)
    return structs.replace(row, purposes=purposes_of(allocators, claimed_bytes), limit=tightest(row.limit, allocators))


def _why_corrected(driver_bytes: int | None) -> str:
    if driver_bytes is None:
        return "the driver does not say; at least what its allocator holds"
    return f"the driver said {size(driver_bytes)} at another instant; what its allocator holds is larger"


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
        listed = NOT_LISTED
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
        limit=listed.limit,
        workload=listed.workload,
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
