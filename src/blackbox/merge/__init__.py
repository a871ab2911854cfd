"""Merge: turns the samples of one moment into one snapshot. Pure; every invariant of the numbers is established here.

The pipeline: `selection` chooses the parts the viewer may see; `process_memory` builds the rows of each process on each
GPU (with `block_part`, `threads`, `stacks`), `process_rows` keeps them while they stay the same; `ledger` adds up each
GPU; this module adds up the machine. Blocks are counted, and become rows or JSON where somebody asks for them
(`moment_blocks`).
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, cast

from msgspec import Raw, structs

from blackbox.merge.engines import engine_rows
from blackbox.merge.fragmentation import fragmentation, fragmentation_ratio, fragmentation_unknown
from blackbox.merge.kernels import kernel_metrics
from blackbox.merge.ledger import gpu_rows
from blackbox.merge.moment_blocks import MomentBlocks
from blackbox.merge.process_memory import PIDS_NAMED_MAX, unmeasured_reason
from blackbox.merge.process_rows import ProcessRows, process_rows
from blackbox.merge.selection import Selection, select
from blackbox.model.codec import to_json
from blackbox.model.moment import Moment
from blackbox.model.parts import SYSTEM_MEMORY, gpu_name
from blackbox.model.snapshot import SCHEMA_VERSION, Gpu, Snapshot
from blackbox.model.text import rfc3339
from blackbox.model.view import ShapeDetail, with_blocks
from blackbox.model.visibility import visible_sources

MEMORY_KEYS = ("total_bytes", "used_bytes", "free_bytes", "driver_reserved_bytes", "used_percent", "unattributed_bytes")
INSIDE_KEYS = ("reserved_bytes", "active_blocks", "free_blocks", "atomic_allocations_bytes", "threads", "blocks")
PROCESSES_KEYS = ("processes", *INSIDE_KEYS, "nsight_metrics")
"""Keys that describe processes: unknown where the driver does not list the processes."""

HERE = Raw(b"\0")
"""Stands for a part whose JSON is known while the rest is encoded: JSON has no such byte."""
KEPT_PARTS = ("processes", "threads", "nsight_metrics")
"""Parts that grow with the number of processes."""
PARTS = tuple(name for name in Snapshot.__struct_fields__ if name in (*KEPT_PARTS, "blocks"))
"""They and the blocks, in the order of the JSON."""


class Merged:
    """A snapshot, and what it was made of."""

    def __init__(self, sums: Snapshot, rows: ProcessRows) -> None:
        self._sums = sums
        """Without rows of processes, threads and blocks."""
        self.rows = rows

    @property
    def blocks(self) -> MomentBlocks:
        return self.rows.blocks

    @cached_property
    def bare(self) -> Snapshot:
        """Without blocks, but their sums and counts."""
        return structs.replace(self._sums, processes=self.rows.processes, threads=self.rows.threads)

    @cached_property
    def snapshot(self) -> Snapshot:
        """The whole snapshot, with a row for each block."""
        return structs.replace(self.bare, blocks=self.blocks.rows())

    def shaped(self, detail: ShapeDetail, blocks_max: int) -> Snapshot:
        """As `view.with_blocks` of the whole snapshot."""
        if detail == "full":
            return with_blocks(self.snapshot, detail, blocks_max)
        return self._without_blocks(self.bare, detail)

    def json_pieces(self, detail: ShapeDetail, blocks_max: int) -> tuple[bytes, ...]:
        """`shaped` as one line of JSON, without encoding what is known in JSON, and without rows of such blocks. What
        is kept from one moment to the next is the same object in both."""
        parts = PARTS if detail == "full" else KEPT_PARTS
        shaped = self._sums if detail == "full" else self._without_blocks(self._sums, detail)
        omitted = max(0, self.rows.block_sums.blocks - blocks_max) if detail == "full" else shaped.blocks_omitted
        marked = structs.replace(shaped, blocks_omitted=omitted, **dict.fromkeys(parts, cast(Any, HERE)))
        between = to_json(marked).split(bytes(HERE))
        pieces = [between[0]]
        for name, text in zip((name for name in PARTS if name in parts), between[1:], strict=True):
            if name == "blocks":
                pieces += self.rows.blocks_texts(blocks_max)
            elif name == "nsight_metrics":
                pieces.append(self.rows.text(name, self._sums.nsight_metrics))
            else:
                pieces.append(self.rows.rows_text("processes" if name == "processes" else "threads"))
            pieces.append(text)
        return tuple(pieces)

    def _without_blocks(self, snapshot: Snapshot, detail: ShapeDetail) -> Snapshot:
        return structs.replace(
            snapshot,
            blocks_omitted=self.rows.block_sums.blocks,
            blocks_summary=None if detail == "none" else self.blocks.summary(),
            stacks=snapshot.stacks if detail == "stacks" else None,
        )


def merge(moment: Moment, gpu: str | None = None, viewer_uid: int | None = None) -> Snapshot:
    """The snapshot of a moment, as in `merged`."""
    return merged(moment, gpu, viewer_uid).snapshot


def merged(moment: Moment, gpu: str | None = None, viewer_uid: int | None = None) -> Merged:
    """The snapshot of a moment, and the memory of each process in it.

    `gpu` is the index or UUID of one GPU, None for all. `viewer_uid` is the user whose programs are shown from inside
    (what they told of themselves), None for every user's. Raises `UnknownGpuError`.
    """
    selection = select(moment, gpu, viewer_uid)
    rows = process_rows(selection)
    gpus = gpu_rows(selection, rows)
    whole = [row for row in gpus if row.parent_uuid is None or len(gpus) == 1]
    total, used = sum(row.total_bytes for row in whole), sum(row.used_bytes for row in whole)
    held = rows.block_sums
    sums = Snapshot(
        total_bytes=total,
        used_bytes=used,
        free_bytes=sum(row.free_bytes for row in whole),
        reserved_bytes=rows.reserved_bytes,
        used_percent=percent(used, total),
        active_blocks=held.utilized_count,
        free_blocks=held.blocks - held.utilized_count,
        atomic_allocations_bytes=held.utilized_bytes,
        fragmentation_ratio=fragmentation_ratio(rows),
        processes=(),
        threads=(),
        blocks=(),
        nsight_metrics=kernel_metrics(selection, rows, moment.sources),
        driver_reserved_bytes=sum(row.driver_reserved_bytes for row in whole),
        unattributed_bytes=sum(row.unattributed_bytes for row in whole),
        fragmentation=fragmentation(rows),
        gpus=gpus,
        engines=engine_rows(selection.engines, rows.processes if selection.engines else (), moment.taken_at),
        sources=visible_sources(moment, viewer_uid),
        blocks_omitted=0,
        blocks_summary=None,
        stacks=rows.stacks,
        schema=SCHEMA_VERSION,
        seq=moment.seq,
        timestamp=rfc3339(moment.timestamp),
        age_seconds=oldest_age_seconds(selection, moment.taken_at),
        host=moment.host,
        simulated=moment.simulated,
        unknown=unknown_of_machine(moment, whole, selection, rows),
    )
    return Merged(sums, rows)


def percent(part: int, whole: int) -> float:
    """100 * part / whole, rounded to two decimals; 0 when the whole is 0."""
    return round(100 * part / whole, 2) if whole else 0.0


def oldest_age_seconds(selection: Selection, now: float) -> float:
    """Seconds since the oldest memory reading or process list in the snapshot was taken; 0 when it holds neither."""
    times = [device.taken_at for device in selection.devices if device.memory is not None]
    times += [allocator.taken_at for reports in selection.allocators.values() for allocator in reports]
    if selection.processes and selection.processes_taken_at is not None:
        times.append(selection.processes_taken_at)
    return round(max(0.0, now - min(times)), 3) if times else 0.0


def unknown_of_machine(moment: Moment, gpus: list[Gpu], selection: Selection, rows: ProcessRows) -> dict[str, str]:
    """Top-level keys whose value was not measured in full, each with the reason."""
    unknown: dict[str, str] = {}
    if not gpus:
        reasons = [f"{status.name}: {status.reason}" for status in moment.sources if status.reason]
        reason = "; ".join(reasons) or "no GPU found"
        unknown |= dict.fromkeys((*MEMORY_KEYS, *PROCESSES_KEYS), reason)
    unmeasured_gpus = [row for row in gpus if "total_bytes" in row.unknown]
    if unmeasured_gpus:
        reason = "; ".join(f"{gpu_name(row.index, row.mig)}: {row.unknown['total_bytes']}" for row in unmeasured_gpus)
        unknown |= dict.fromkeys(MEMORY_KEYS, reason)
    unlisted = [
        f"{gpu_name(device.index, device.mig)}: {device.unknown['processes']}"
        for device in selection.devices
        if "processes" in device.unknown
    ]
    if unlisted:
        unknown = dict.fromkeys((*PROCESSES_KEYS, "unattributed_bytes"), "; ".join(unlisted)) | unknown
    if (shared := next((row for row in gpus if row.memory_source == SYSTEM_MEMORY), None)) is not None:
        unknown = {"unattributed_bytes": f"GPU {shared.index}: {shared.unknown['unattributed_bytes']}"} | unknown
    if rows.unreported:
        unknown |= dict.fromkeys(INSIDE_KEYS, rows.unreported)
    if rows.unmeasured:
        unknown = {"unattributed_bytes": unmeasured_reason(rows.unmeasured)} | unknown
    if problems := list(block_problems(selection, rows)):
        more = [f"and {len(problems) - PIDS_NAMED_MAX} more"] if len(problems) > PIDS_NAMED_MAX else []
        unknown["blocks"] = "; ".join([*filter(None, [unknown.get("blocks")]), *problems[:PIDS_NAMED_MAX], *more])
    if (why := fragmentation_unknown(rows)) is not None:
        unknown["fragmentation_ratio"] = why
    return unknown


def block_problems(selection: Selection, rows: ProcessRows) -> Iterator[str]:
    """For each process whose reported blocks are missing or stale: the reason, or their age."""
    for allocator in rows.allocators:
        age = selection.taken_at - (allocator.details_taken_at or allocator.taken_at)
        if "blocks" in allocator.unknown:
            yield f"pid {allocator.pid}: {allocator.unknown['blocks']}"
        elif allocator.blocks is not None and age > selection.stale_after_seconds:
            yield f"pid {allocator.pid}: as of {age:.1f} s ago"
