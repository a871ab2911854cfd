"""Series of the GPUs and MIG instances of one moment, and of the processes on them.

Sums over the machine are the database's work. MIG instances have names of their own, since adding them to their
parents would count memory twice.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from blackbox.model.snapshot import Gpu, Process, Snapshot
from blackbox.outputs.prometheus.family import Family, Series

PROCESS_SERIES_MAX = 1_000
"""Processes with series of their own, the largest first; the database pays for each as long as it keeps data."""


class GpuView(NamedTuple):
    """One GPU or MIG instance as its series see it."""

    row: Gpu
    snapshot: Snapshot
    """Of this GPU (of the parent, for a MIG instance) alone."""
    seen_at: float
    """When its memory was last read, in Unix time."""
    up: bool
    """Its readings are fresh; otherwise it has none."""


class Readings(NamedTuple):
    """The devices of one moment."""

    gpus: tuple[GpuView, ...]
    instances: tuple[GpuView, ...]


def readings(snapshots: tuple[Snapshot, ...], timestamp: float, fresh: bool) -> Readings:
    """The devices in snapshots of one GPU each, taken at `timestamp` (Unix seconds).

    `fresh`: the moment is new enough to be shown at all.
    """
    views = [
        GpuView(
            row=row,
            snapshot=snapshot,
            seen_at=timestamp - row.age_seconds,
            up=fresh and row.state == "ok",
        )
        for snapshot in snapshots
        for row in snapshot.gpus
    ]
    return Readings(
        gpus=tuple(view for view in views if view.row.parent_uuid is None),
        instances=tuple(view for view in views if view.row.parent_uuid is not None),
    )


def gpu_families() -> Iterator[Family[Readings]]:
    """Families with one series per GPU."""
    yield Family(
        "blackbox_gpu_info", "gauge", "Static facts of a GPU; join on uuid.", ("uuid", "index", "name"), _facts
    )
    for family in _device_families("gpu", "GPU"):
        yield _over(_gpus, family)
    for name, text, read in INSIDES:
        yield _over(_gpus, _of_up(f"blackbox_gpu_{name}", text, read))
    for name, text, read in SENSORS:
        yield _over(_gpus, _of_up(f"blackbox_gpu_{name}", text, read))
    yield Family("blackbox_gpu_blocks", "gauge", BLOCKS_HELP, ("uuid", "state"), _blocks)
    for name, text, read in XIDS:
        yield _over(_gpus, _of_any(name, text, read))


def instance_families() -> Iterator[Family[Readings]]:
    """Families with one series per MIG instance."""
    labels = ("uuid", "parent_uuid", "gpu_instance_id", "compute_instance_id", "profile", "name")
    yield Family("blackbox_mig_info", "gauge", "Static facts of a MIG instance; join on uuid.", labels, _mig_facts)
    for family in _device_families("mig", "MIG instance"):
        yield _over(_instances, family)


def process_families() -> Iterator[Family[Readings]]:
    """Families with series per process and device; asked for by `process_metrics`, capped."""
    labels = ("uuid", "pid", "name", "user", "container", "kind")
    yield Family("blackbox_process_info", "gauge", "Facts of a process on a GPU; join on uuid and pid.", labels, _who)
    for name, text, read in PROCESSES:
        yield Family(f"blackbox_process_{name}", "gauge", text, ("uuid", "pid"), _over_processes(read))
    yield Family("blackbox_process_series_omitted", "gauge", OMITTED_HELP, (), _omitted)


ReadGpu = Callable[[GpuView], float | None]
ReadProcess = Callable[[Process], float | None]

LEDGER: tuple[tuple[str, str], ...] = (
    ("total_bytes", "Memory of the {}; used + free + driver reserved, exactly."),
    ("used_bytes", "Memory allocated by programs; equals nvidia-smi."),
    ("free_bytes", "Memory not allocated."),
    ("driver_reserved_bytes", "Memory kept by driver and firmware."),
    ("unattributed_bytes", "Used memory minus what the listed processes use; negative where they share memory."),
)

BLOCKS_HELP = "Blocks of memory: active hold live data, free do not. Absent while a process has no allocator report."

INSIDES: tuple[tuple[str, str, ReadGpu], ...] = (
    (
        "fragmentation_ratio",
        "Share of allocator-held memory stranded by its neighbours: inactive split bytes / reserved bytes.",
        lambda view: _known(view, "fragmentation_ratio", view.snapshot.fragmentation_ratio),
    ),
    (
        "fragmentation_external_ratio",
        "1 - largest free block / all free bytes of the allocators.",
        lambda view: (cut := view.snapshot.fragmentation) and cut.external_ratio,
    ),
    (
        "fragmentation_internal_ratio",
        "1 - requested / allocated bytes: lost to rounding.",
        lambda view: (cut := view.snapshot.fragmentation) and cut.internal_ratio,
    ),
    (
        "cached_ratio",
        "1 - allocated / reserved bytes: held by allocators but not in use.",
        lambda view: (cut := view.snapshot.fragmentation) and cut.cached_ratio,
    ),
    (
        "largest_free_bytes",
        "The largest request that an allocator can serve without new memory from the driver.",
        lambda view: (cut := view.snapshot.fragmentation) and cut.largest_free_bytes,
    ),
    (
        "atomic_allocations_bytes",
        "Bytes in indivisible live allocations. Absent while a process has no allocator report.",
        lambda view: _known(view, "atomic_allocations_bytes", view.snapshot.atomic_allocations_bytes),
    ),
    ("processes", "Processes on the GPU.", lambda view: _known(view, "processes", len(view.snapshot.processes))),
)

SENSORS: tuple[tuple[str, str, ReadGpu], ...] = (
    (
        "utilization_ratio",
        "Share of time in which a kernel ran.",
        lambda view: None if (value := view.row.utilization_percent) is None else value / 100,
    ),
    ("temperature_celsius", "Temperature of the GPU.", lambda view: view.row.temperature_celsius),
    ("power_watts", "Power drawn by the GPU.", lambda view: view.row.power_watts),
)

XIDS: tuple[tuple[str, str, ReadGpu], ...] = (
    (
        "blackbox_gpu_xid_last_code",
        "Code of the last Xid error of the driver since the server started.",
        lambda view: (xid := view.row.xid) and xid.code,
    ),
    (
        "blackbox_gpu_xid_last_timestamp_seconds",
        "When the last Xid error was noticed, in Unix time.",
        lambda view: (xid := view.row.xid) and xid.timestamp,
    ),
)

PROCESSES: tuple[tuple[str, str, ReadProcess], ...] = (
    (
        "memory_used_bytes",
        "What the driver gave the process; equals nvidia-smi.",
        lambda row: None if "used_bytes" in row.unknown else row.used_bytes,
    ),
    (
        "memory_reserved_bytes",
        "What its allocator holds from the driver.",
        lambda row: None if "reserved_bytes" in row.unknown else row.reserved_bytes,
    ),
    ("memory_allocated_bytes", "Live memory inside its reserved memory.", lambda row: row.allocated_bytes),
    (
        "start_time_seconds",
        "Start of the process in Unix time; with the pid, its identity.",
        lambda row: row.start_time,
    ),
)

OMITTED_HELP = f"Processes without series, beyond the {PROCESS_SERIES_MAX} largest."


def _device_families(prefix: str, noun: str) -> Iterator[Family[GpuView]]:
    yield _of_any(f"blackbox_{prefix}_up", UP_HELP.format(noun), lambda view: float(view.up))
    yield _of_any(f"blackbox_{prefix}_last_seen_timestamp_seconds", SEEN_HELP, lambda view: view.seen_at)
    for key, text in LEDGER:
        yield _of_up(f"blackbox_{prefix}_memory_{key}", text.format(noun), _in_row(key))
    yield _of_up(f"blackbox_{prefix}_memory_reserved_bytes", RESERVED_HELP, _reserved)


UP_HELP = "1 while the {} answers and its readings are fresh; without that it has no other readings."
SEEN_HELP = "When its memory was last read, in Unix time."
RESERVED_HELP = "Memory held by the allocators of its processes. Absent while a process has no allocator report."


def _gpus(seen: Readings) -> tuple[GpuView, ...]:
    return seen.gpus


def _instances(seen: Readings) -> tuple[GpuView, ...]:
    return seen.instances


def _over(choose: Callable[[Readings], tuple[GpuView, ...]], family: Family[GpuView]) -> Family[Readings]:
    """The family of one device, over all of them."""

    def read(seen: Readings) -> Iterator[Series]:
        for view in choose(seen):
            yield from family.read(view)

    return Family(family.name, family.kind, family.help, family.labels, read)


def _of_up(name: str, text: str, read: ReadGpu) -> Family[GpuView]:
    """A family whose series vanish while the device is not up."""
    return _of_any(name, text, lambda view: read(view) if view.up else None)


def _of_any(name: str, text: str, read: ReadGpu) -> Family[GpuView]:
    def series(view: GpuView) -> Iterator[Series]:
        yield (view.row.uuid,), read(view)

    return Family(name, "gauge", text, ("uuid",), series)


def _in_row(key: str) -> ReadGpu:
    return lambda view: None if key in view.row.unknown else getattr(view.row, key)


def _known(view: GpuView, key: str, value: float) -> float | None:
    return None if key in view.snapshot.unknown else value


def _reserved(view: GpuView) -> float | None:
    silent = {row.gpu_uuid for row in view.snapshot.processes if "reserved_bytes" in row.unknown}
    if view.row.uuid in silent or (view.row.parent_uuid is None and silent):
        return None
    return view.row.reserved_bytes


def _facts(seen: Readings) -> Iterator[Series]:
    for view in seen.gpus:
        yield (view.row.uuid, str(view.row.index), view.row.name), 1


def _mig_facts(seen: Readings) -> Iterator[Series]:
    for view in seen.instances:
        row, mig = view.row, view.row.mig
        ids = (str(mig.gpu_instance_id), str(mig.compute_instance_id), mig.profile or "") if mig else ("", "", "")
        yield (row.uuid, row.parent_uuid or "", *ids, row.name), 1


def _blocks(seen: Readings) -> Iterator[Series]:
    for view in seen.gpus:
        if view.up:
            yield (view.row.uuid, "active"), _known(view, "active_blocks", view.snapshot.active_blocks)
            yield (view.row.uuid, "free"), _known(view, "free_blocks", view.snapshot.free_blocks)


def _processes(seen: Readings) -> list[Process]:
    """All processes on devices that are up, the largest first."""
    up = {view.row.uuid for view in (*seen.gpus, *seen.instances) if view.up}
    rows = [row for view in seen.gpus for row in view.snapshot.processes if row.gpu_uuid in up]
    return sorted(rows, key=lambda row: (-row.used_bytes, row.gpu_uuid, row.pid))


def _over_processes(read: ReadProcess) -> Callable[[Readings], Iterator[Series]]:
    def series(seen: Readings) -> Iterator[Series]:
        for row in _processes(seen)[:PROCESS_SERIES_MAX]:
            yield (row.gpu_uuid, str(row.pid)), read(row)

    return series


def _who(seen: Readings) -> Iterator[Series]:
    for row in _processes(seen)[:PROCESS_SERIES_MAX]:
        yield (row.gpu_uuid, str(row.pid), row.name, row.user or "", row.container or "", row.kind), 1


def _omitted(seen: Readings) -> Iterator[Series]:
    yield (), max(0, len(_processes(seen)) - PROCESS_SERIES_MAX)
