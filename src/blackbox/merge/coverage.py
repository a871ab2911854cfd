"""What each process lets us see of its memory, and why not more."""

from collections.abc import Iterable, Mapping, Sequence

from blackbox.merge.process_memory import NO_REPORT, ProcessMemory
from blackbox.model.about import ProcessCoverage
from blackbox.model.block_arrays import ListedBlocks
from blackbox.model.parts import AllocatorBlock
from blackbox.model.snapshot import KernelMetrics

NO_HISTORY = "no history of its allocator is recorded: `blackbox run --extras history -- PROGRAM`"
NO_OWNERS = "who allocates is not asked for: `blackbox run --extras threads -- PROGRAM`"
NO_TIMES = "when it allocates is not asked for: `blackbox run --extras threads -- PROGRAM`"
NO_COUNTERS = "no source counts in its kernels"
NOT_TOLD = "its allocator does not tell it"
CAN_TELL_TIMES = "pytorch"
PARTS = ("used", "reserved", "blocks", "segments", "times", "stacks", "threads", "kernels")


def coverage(rows: Iterable[ProcessMemory], kernels: Mapping[str, KernelMetrics]) -> tuple[ProcessCoverage, ...]:
    """Of every process on every GPU of a snapshot, whose `nsight_metrics` are `kernels`."""
    return tuple(_of(row, kernels.get(str(row.process.pid))) for row in rows)


def _of(row: ProcessMemory, kernels: KernelMetrics | None) -> ProcessCoverage:
    process = row.process
    missing = {part: why for part in PARTS if (why := _why_missing(part, row, kernels)) is not None}
    return ProcessCoverage(
        gpu=process.gpu,
        gpu_uuid=process.gpu_uuid,
        pid=process.pid,
        name=process.name,
        start_time=process.start_time,
        sources=tuple(dict.fromkeys(one.source for one in row.allocators)),
        told=tuple(part for part in PARTS if part not in missing),
        missing=missing,
    )


def _why_missing(part: str, row: ProcessMemory, kernels: KernelMetrics | None) -> str | None:
    """None where the part is told."""
    if part == "used":
        return row.process.unknown.get("used_bytes")
    if part == "kernels":
        return (NO_COUNTERS if kernels is None else kernels.reason or NO_COUNTERS) if _is_silent(kernels) else None
    if not row.allocators:
        return row.unreported_reason or NO_REPORT
    if part == "reserved":
        return row.process.unknown.get("reserved_bytes")
    if part == "stacks":
        return None if any(one.stacks for one in row.allocators) else NO_HISTORY
    if part == "threads":
        return None if any(one.threads for one in row.allocators) else NO_OWNERS
    if row.unreported_reason is not None:
        return row.unreported_reason
    blocks = [block for one in row.allocators for block in (one.blocks or ())[:1]]
    if part == "blocks":
        return next((one.unknown["blocks"] for one in row.allocators if "blocks" in one.unknown), None)
    if _tells(part, row, blocks):
        return None
    return NO_TIMES if part == "times" and all(one.source == CAN_TELL_TIMES for one in row.allocators) else NOT_TOLD


def _is_silent(kernels: KernelMetrics | None) -> bool:
    return kernels is None or not kernels.available


def _tells(part: str, row: ProcessMemory, first: list[AllocatorBlock]) -> bool:
    if part == "segments":
        return any(block.segment is not None for block in first)
    return any(_tells_times(one.blocks or ()) for one in row.allocators)


def _tells_times(blocks: Sequence[AllocatorBlock]) -> bool:
    if isinstance(blocks, ListedBlocks):
        return blocks.arrays.allocated_ms is not None
    return any(block.allocated_at is not None for block in blocks)
