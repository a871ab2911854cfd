"""Every number of a snapshot that is followed over time, declared once for the recording, `/metrics` and exports.

A new metric is one row of `METRICS`. Its key is a key of the snapshot's row it is about, or it brings a function that
reads it; `recorded` keeps it in the recording (`metric=` in questions), `exposed` gives it a name in `/metrics`, `otel`
in what `--otlp` sends.
"""

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from blackbox.model.metric_names import Exposed, ExposedKind, MetricType, Otel, OtelKind
from blackbox.model.snapshot import Engine, Fragmentation, Gpu, Process, Snapshot

SubjectKind = Literal["machine", "gpu", "process", "engine"]
"""Whom a number is about. `gpu` is a GPU or a MIG instance. `machine` is whatever GPUs a snapshot is of: all of them in
the recording, each alone in `/metrics`."""
Unit = Literal["bytes", "percent", "ratio", "celsius", "watts", "count", "seconds", "code"]
Audience = Literal["anyone", "owner"]
"""`owner`: it depends on what programs told, which is for their owner and who may see all; of a machine or a GPU, for
the owner of every program there that told something."""
SubjectRow = Snapshot | Gpu | Process | Engine

DECIMALS: dict[Unit, int] = {
    "bytes": 0,
    "percent": 3,
    "ratio": 6,
    "celsius": 3,
    "watts": 3,
    "count": 3,
    "seconds": 3,
    "code": 0,
}
"""Kept of a mean, which no source measured."""


class Metric(Struct, frozen=True, eq=False):
    """One number over time. Metrics are equal only where they are the same row of `METRICS`."""

    key: str
    """Of the snapshot's row, where `read` is None."""
    subjects: tuple[SubjectKind, ...]
    unit: Unit
    help: str
    """What it means; `{}` stands for "GPU" or "MIG instance"."""
    visible_to: Audience = "anyone"
    recorded: bool = False
    exposed: Exposed | None = None
    otel: tuple[Otel, ...] = ()
    read: Callable[[Any, Snapshot], float | None] | None = None
    """Reads it from the row of its subject, in the snapshot that holds the row; None where nobody measured it."""

    @property
    def decimals(self) -> int:
        """Decimals kept of a mean."""
        return DECIMALS[self.unit]

    def value(self, row: SubjectRow, snapshot: Snapshot) -> float | None:
        """The number in a row of the snapshot; None where nobody measured it."""
        return known(row, self.key) if self.read is None else self.read(row, snapshot)


def known(row: SubjectRow, key: str) -> float | None:
    """The number at `key`; None where the row says that nobody measured it."""
    return None if key in row.unknown else getattr(row, key)


def _fragmentation(key: str) -> Callable[[Snapshot, Snapshot], float | None]:
    def read(row: Snapshot, _: Snapshot) -> float | None:
        cut: Fragmentation | None = row.fragmentation
        return None if cut is None else getattr(cut, key)

    return read


def _process_count(row: Snapshot, _: Snapshot) -> float | None:
    return None if "processes" in row.unknown else len(row.processes)


def _reported_reserved(row: Gpu, snapshot: Snapshot) -> float | None:
    """Without a report, a process counts with its used bytes in `reserved_bytes`: what allocators hold is not known."""
    unreported = {process.gpu_uuid for process in snapshot.processes if "reserved_bytes" in process.unknown}
    if row.uuid in unreported or (row.parent_uuid is None and unreported):
        return None
    return row.reserved_bytes


def _xid_code(row: Gpu, _: Snapshot) -> float | None:
    return None if row.xid is None else row.xid.code


def _xid_seconds(row: Gpu, _: Snapshot) -> float | None:
    return None if row.xid is None else row.xid.timestamp


def _of_engine(key: str, unit: Unit, text: str, name: str | None = None, kind: MetricType = "gauge") -> Metric:
    """A number of an inference engine, recorded for its owner; `name` in `/metrics` where it is not the key."""
    stands = Exposed(name or key, ("engine",), kind)
    return Metric(key, ("engine",), unit, text, visible_to="owner", recorded=True, exposed=stands)


def _purpose(purpose: str, text: str) -> Metric:
    """Bytes of a process for one purpose, recorded for its owner."""

    def read(row: Process, _: Snapshot) -> float | None:
        return None if row.purposes is None else row.purposes.get(purpose, 0)

    key = f"{purpose}_bytes"
    stands = Exposed("memory_purpose_bytes", ("process",), label=("purpose", purpose))
    told = (Otel("blackbox.process.gpu.memory.purpose", "process", ("blackbox.memory.purpose", purpose)),)
    return Metric(
        key, ("process",), "bytes", text, visible_to="owner", recorded=True, exposed=stands, otel=told, read=read
    )


def _gpu_and_mig(name: str, last: str) -> tuple[Otel, Otel]:
    """A number of GPUs by `name`, and of MIG instances by a name of ours that ends with `last`."""
    return Otel(name), Otel(f"blackbox.mig.memory.{last}", "mig")


BLOCKS_HELP = "Blocks of memory: active hold live data, free do not. Absent while a process has no allocator report."

METRICS: tuple[Metric, ...] = (
    Metric(
        "total_bytes",
        ("machine", "gpu"),
        "bytes",
        "Memory of the {}; used + free + driver reserved, exactly.",
        recorded=True,
        exposed=Exposed("memory_total_bytes", ("gpu", "mig")),
        otel=_gpu_and_mig("hw.gpu.memory.limit", "limit"),
    ),
    Metric(
        "used_bytes",
        ("machine", "gpu"),
        "bytes",
        "Memory allocated by programs; equals nvidia-smi.",
        recorded=True,
        exposed=Exposed("memory_used_bytes", ("gpu", "mig")),
        otel=_gpu_and_mig("hw.gpu.memory.usage", "usage"),
    ),
    Metric(
        "free_bytes",
        ("machine", "gpu"),
        "bytes",
        "Memory not allocated.",
        recorded=True,
        exposed=Exposed("memory_free_bytes", ("gpu", "mig")),
    ),
    Metric(
        "driver_reserved_bytes",
        ("machine", "gpu"),
        "bytes",
        "Memory kept by driver and firmware.",
        recorded=True,
        exposed=Exposed("memory_driver_reserved_bytes", ("gpu", "mig")),
        otel=_gpu_and_mig("blackbox.gpu.memory.driver_reserved", "driver_reserved"),
    ),
    Metric(
        "reserved_bytes",
        ("machine", "gpu"),
        "bytes",
        "Memory held by the allocators of its processes; all that a process uses where its allocator does not report.",
        visible_to="owner",
        recorded=True,
    ),
    Metric(
        "allocated_bytes",
        ("gpu",),
        "bytes",
        "Live memory of its processes whose allocators tell it.",
        visible_to="owner",
        recorded=True,
    ),
    Metric(
        "unattributed_bytes",
        ("machine", "gpu"),
        "bytes",
        "Used memory minus what the listed processes use; negative where they share memory.",
        visible_to="owner",
        recorded=True,
        exposed=Exposed("memory_unattributed_bytes", ("gpu", "mig")),
        otel=_gpu_and_mig("blackbox.gpu.memory.unattributed", "unattributed"),
    ),
    Metric(
        "used_percent",
        ("machine", "gpu"),
        "percent",
        "100 * used / total.",
        recorded=True,
        otel=_gpu_and_mig("hw.gpu.memory.utilization", "utilization"),
    ),
    Metric(
        "reserved_bytes",
        ("gpu",),
        "bytes",
        "Memory held by the allocators of its processes. Absent while a process has no allocator report.",
        exposed=Exposed("memory_reserved_bytes", ("gpu", "mig")),
        otel=_gpu_and_mig("blackbox.gpu.memory.reserved", "reserved"),
        read=_reported_reserved,
    ),
    Metric(
        "fragmentation_ratio",
        ("machine",),
        "ratio",
        "Share of allocator-held memory stranded by its neighbours: inactive split bytes / reserved bytes.",
        visible_to="owner",
        recorded=True,
        exposed=Exposed("fragmentation_ratio"),
        otel=(Otel("blackbox.gpu.memory.fragmentation"),),
    ),
    Metric(
        "external_ratio",
        ("machine",),
        "ratio",
        "1 - largest free block / all free bytes of the allocators.",
        exposed=Exposed("fragmentation_external_ratio"),
        read=_fragmentation("external_ratio"),
    ),
    Metric(
        "internal_ratio",
        ("machine",),
        "ratio",
        "1 - requested / allocated bytes: lost to rounding.",
        exposed=Exposed("fragmentation_internal_ratio"),
        read=_fragmentation("internal_ratio"),
    ),
    Metric(
        "cached_ratio",
        ("machine",),
        "ratio",
        "1 - allocated / reserved bytes: held by allocators but not in use.",
        exposed=Exposed("cached_ratio"),
        read=_fragmentation("cached_ratio"),
    ),
    Metric(
        "largest_free_bytes",
        ("machine",),
        "bytes",
        "The largest request that an allocator can serve without new memory from the driver.",
        exposed=Exposed("largest_free_bytes"),
        read=_fragmentation("largest_free_bytes"),
    ),
    Metric(
        "atomic_allocations_bytes",
        ("machine",),
        "bytes",
        "Bytes in indivisible live allocations. Absent while a process has no allocator report.",
        exposed=Exposed("atomic_allocations_bytes"),
    ),
    Metric(
        "processes",
        ("machine",),
        "count",
        "Processes on the GPU.",
        exposed=Exposed("processes"),
        read=_process_count,
    ),
    Metric(
        "utilization_percent",
        ("gpu",),
        "percent",
        "Share of time in which a kernel ran.",
        recorded=True,
        exposed=Exposed("utilization_ratio", divisor=100),
        otel=(Otel("hw.gpu.utilization"),),
    ),
    Metric(
        "temperature_celsius",
        ("gpu",),
        "celsius",
        "Temperature of the GPU.",
        recorded=True,
        exposed=Exposed("temperature_celsius"),
        otel=(Otel("hw.temperature"),),
    ),
    Metric(
        "power_watts",
        ("gpu",),
        "watts",
        "Power drawn by the GPU.",
        recorded=True,
        exposed=Exposed("power_watts"),
        otel=(Otel("hw.power"),),
    ),
    Metric("active_blocks", ("machine",), "count", BLOCKS_HELP, exposed=Exposed("blocks", label=("state", "active"))),
    Metric("free_blocks", ("machine",), "count", BLOCKS_HELP, exposed=Exposed("blocks", label=("state", "free"))),
    Metric(
        "xid_code",
        ("gpu",),
        "code",
        "Code of the last Xid error of the driver since the server started.",
        exposed=Exposed("xid_last_code", while_down=True),
        read=_xid_code,
    ),
    Metric(
        "xid_timestamp",
        ("gpu",),
        "seconds",
        "When the last Xid error was noticed, in Unix time.",
        exposed=Exposed("xid_last_timestamp_seconds", while_down=True),
        read=_xid_seconds,
    ),
    Metric(
        "used_bytes",
        ("process",),
        "bytes",
        "What the driver gave the process; equals nvidia-smi.",
        recorded=True,
        exposed=Exposed("memory_used_bytes", ("process",)),
        otel=(Otel("blackbox.process.gpu.memory.usage", "process"),),
    ),
    Metric(
        "reserved_bytes",
        ("process",),
        "bytes",
        "What its allocator holds from the driver.",
        visible_to="owner",
        recorded=True,
        exposed=Exposed("memory_reserved_bytes", ("process",)),
        otel=(Otel("blackbox.process.gpu.memory.reserved", "process"),),
    ),
    Metric(
        "allocated_bytes",
        ("process",),
        "bytes",
        "Live memory inside its reserved memory.",
        visible_to="owner",
        recorded=True,
        exposed=Exposed("memory_allocated_bytes", ("process",)),
        otel=(Otel("blackbox.process.gpu.memory.allocated", "process"),),
    ),
    *(
        _purpose(purpose, text)
        for purpose, text in {
            "weight": "Weights of a model.",
            "gradient": "Gradients.",
            "optimizer": "State of an optimizer.",
            "activation": "Activations.",
            "kv_used": "Pages of a KV cache that requests reference.",
            "communication": "Buffers of communication between GPUs.",
            "workspace": "Workspaces of libraries, and pools of graphs.",
            "other": "Live memory for nothing of these, or of unknown purpose.",
            "kv_cached": "Pages of a KV cache that hold a prefix nobody references now.",
            "cached": "Held by its allocator, and free.",
        }.items()
    ),
    Metric(
        "start_time",
        ("process",),
        "seconds",
        "Start of the process in Unix time; with the pid, its identity.",
        exposed=Exposed("start_time_seconds", ("process",)),
    ),
    _of_engine("kv_pages_total", "count", "Pages of its KV cache.", "kv_pages"),
    _of_engine("kv_pages_used", "count", "Pages referenced by a request."),
    _of_engine("kv_pages_cached", "count", "Pages that hold a prefix nobody references now; evictable."),
    _of_engine("kv_usage_ratio", "ratio", "Used pages / all pages, as the engine counts them."),
    _of_engine("prefix_hit_ratio", "ratio", "Prefix cache hits / queries since the engine started."),
    _of_engine("requests_running", "count", "Requests being worked on."),
    _of_engine("requests_waiting", "count", "Requests queued."),
    _of_engine(
        "preemptions_total", "count", "Requests thrown out of the cache since the engine started.", kind="counter"
    ),
)
"""In the order of `/metrics`. Recordings name what they hold, so rows may come and go anywhere."""

SUBJECT_KINDS: tuple[SubjectKind, ...] = ("machine", "gpu", "process", "engine")
RECORDED: dict[SubjectKind, tuple[Metric, ...]] = {
    kind: tuple(metric for metric in METRICS if metric.recorded and kind in metric.subjects) for kind in SUBJECT_KINDS
}
"""What the recording keeps of each kind of subject."""
METRIC_KEYS = tuple(dict.fromkeys(metric.key for metrics in RECORDED.values() for metric in metrics))
"""Keys that `metric=` takes."""


def exposed(kind: ExposedKind) -> tuple[Metric, ...]:
    """The metrics that `/metrics` has of this kind."""
    return tuple(metric for metric in METRICS if metric.exposed is not None and kind in metric.exposed.of)


def exported(kind: OtelKind) -> tuple[tuple[Metric, Otel], ...]:
    """The metrics that `--otlp` sends of this kind, each with its name there."""
    return tuple((metric, otel) for metric in METRICS for otel in metric.otel if otel.of == kind)
