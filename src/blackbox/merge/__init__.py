"""Merge: the samples of one moment become one snapshot. Pure; every invariant of the numbers is made here.

The pipeline: choose the parts the asker may see (`selection`), make the rows of each process (`holding`, `blocks`,
`threads`, `stacks`, `kernels`), add up each GPU (`ledger`), then the machine (this module).
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain

from blackbox.merge.blocks import with_distinct_ids
from blackbox.merge.engines import engine_rows
from blackbox.merge.fragmentation import fragmentation, fragmentation_ratio, fragmentation_unknown
from blackbox.merge.kernels import kernel_metrics
from blackbox.merge.ledger import gpu_rows
from blackbox.merge.process_memory import Holding, holdings
from blackbox.merge.selection import Selection, select
from blackbox.model.snapshot import SCHEMA_VERSION, Gpu, Moment, Snapshot

PIDS_NAMED_MAX = 8
"""Pids listed in one reason; more would bury it."""

MEMORY_KEYS = ("total_bytes", "used_bytes", "free_bytes", "driver_reserved_bytes", "used_percent", "unattributed_bytes")
INSIDE_KEYS = ("reserved_bytes", "active_blocks", "free_blocks", "atomic_allocations_bytes", "threads", "blocks")
PROCESSES_KEYS = ("processes", *INSIDE_KEYS, "nsight_metrics")
"""What is told of processes, and so of none that nobody lists."""


def merge(moment: Moment, gpu: str | None = None, viewer_uid: int | None = None) -> Snapshot:
    """The snapshot of a moment: of all GPUs or one (index or UUID), with the insides of all processes or of one
    user's. Raises `UnknownGpuError`.
    """
    selection = select(moment, gpu, viewer_uid)
    held = holdings(selection)
    gpus = gpu_rows(selection, held)
    whole = [row for row in gpus if row.parent_uuid is None or len(gpus) == 1]
    total, used = sum(row.total_bytes for row in whole), sum(row.used_bytes for row in whole)
    blocks = with_distinct_ids(tuple(chain.from_iterable(holding.blocks for holding in held)))
    utilized = [block.size for block in blocks if block.utilized]
    return Snapshot(
        total_bytes=total,
        used_bytes=used,
        free_bytes=sum(row.free_bytes for row in whole),
        reserved_bytes=sum(holding.process.reserved_bytes for holding in held),
        used_percent=percent(used, total),
        active_blocks=len(utilized),
        free_blocks=len(blocks) - len(utilized),
        atomic_allocations_bytes=sum(utilized),
        fragmentation_ratio=fragmentation_ratio(held),
        processes=tuple(holding.process for holding in held),
        threads=tuple(chain.from_iterable(holding.threads for holding in held)),
        blocks=blocks,
        nsight_metrics=kernel_metrics(selection, held, moment.sources),
        driver_reserved_bytes=sum(row.driver_reserved_bytes for row in whole),
        unattributed_bytes=sum(row.unattributed_bytes for row in whole),
        fragmentation=fragmentation(held),
        gpus=gpus,
        engines=engine_rows(selection.engines, (holding.process for holding in held), moment.taken_at),
        sources=moment.sources,
        blocks_omitted=0,
        blocks_summary=None,
        stacks=tuple(chain.from_iterable(holding.stacks for holding in held)) or None,
        schema=SCHEMA_VERSION,
        seq=moment.seq,
        timestamp=rfc3339(moment.timestamp),
        age_seconds=oldest(selection, moment.taken_at),
        host=moment.host,
        simulated=any(sample.simulated for sample in moment.samples),
        unknown=unknown_of_machine(moment, whole, selection, held),
    )


def percent(part: int, whole: int) -> float:
    """100 * part / whole with two decimals; 0 when the whole is 0."""
    return round(100 * part / whole, 2) if whole else 0.0


def rfc3339(timestamp: float) -> str:
    """Unix seconds as UTC text with milliseconds."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def oldest(selection: Selection, now: float) -> float:
    """Age of the oldest figure of memory or list of processes that the snapshot shows; 0 when it shows none."""
    times = [device.taken_at for device in selection.devices if device.memory is not None]
    times += [allocator.taken_at for reports in selection.allocators.values() for allocator in reports]
    if selection.processes and selection.processes_taken_at is not None:
        times.append(selection.processes_taken_at)
    return round(max(0.0, now - min(times)), 3) if times else 0.0


def unknown_of_machine(moment: Moment, gpus: list[Gpu], selection: Selection, held: list[Holding]) -> dict[str, str]:
    """Top-level keys that nobody could measure in full, and why."""
    unknown: dict[str, str] = {}
    if not gpus:
        reasons = [f"{status.name}: {status.reason}" for status in moment.sources if status.reason]
        reason = "; ".join(reasons) or "no GPU found"
        unknown |= dict.fromkeys((*MEMORY_KEYS, *PROCESSES_KEYS), reason)
    blind = [row for row in gpus if "total_bytes" in row.unknown]
    if blind:
        reason = "; ".join(f"GPU {row.index}: {row.unknown['total_bytes']}" for row in blind)
        unknown |= dict.fromkeys(MEMORY_KEYS, reason)
    unlisted = [
        f"GPU {device.index}: {device.unknown['processes']}"
        for device in selection.devices
        if "processes" in device.unknown
    ]
    if unlisted:
        unknown = dict.fromkeys((*PROCESSES_KEYS, "unattributed_bytes"), "; ".join(unlisted)) | unknown
    if silent := silence(held):
        unknown |= dict.fromkeys(INSIDE_KEYS, silent)
    if unmeasured := [holding.process.pid for holding in held if holding.unmeasured]:
        why = f"the driver does not say what {name_pids(unmeasured)} uses"
        unknown = {"unattributed_bytes": why} | unknown
    if doubts := list(doubted_blocks(selection, held)):
        more = [f"and {len(doubts) - PIDS_NAMED_MAX} more"] if len(doubts) > PIDS_NAMED_MAX else []
        unknown["blocks"] = "; ".join([*filter(None, [unknown.get("blocks")]), *doubts[:PIDS_NAMED_MAX], *more])
    if (why := fragmentation_unknown(held)) is not None:
        unknown["fragmentation_ratio"] = why
    return unknown


def doubted_blocks(selection: Selection, held: list[Holding]) -> Iterator[str]:
    """What is wrong with the blocks of each process that tells some, or should: a reason, or their age."""
    for holding in held:
        for allocator in holding.allocators:
            age = selection.taken_at - (allocator.details_taken_at or allocator.taken_at)
            if "blocks" in allocator.unknown:
                yield f"pid {allocator.pid}: {allocator.unknown['blocks']}"
            elif allocator.blocks is not None and age > selection.stale_after_seconds:
                yield f"pid {allocator.pid}: as of {age:.1f} s ago"


def silence(held: list[Holding]) -> str | None:
    """Whose blocks nobody tells, by reason."""
    pids: defaultdict[str, list[int]] = defaultdict(list)
    for holding in held:
        if holding.opaque:
            pids[holding.opaque].append(holding.process.pid)
    return "; ".join(f"{why} ({name_pids(silent)})" for why, silent in pids.items()) or None


def name_pids(pids: list[int]) -> str:
    """`pid 1, 2, 3 and 5 more`."""
    named = ", ".join(str(pid) for pid in pids[:PIDS_NAMED_MAX])
    rest = len(pids) - PIDS_NAMED_MAX
    return f"pid {named} and {rest} more" if rest > 0 else f"pid {named}"
