"""The newest moment as a request for export: a point for every number that somebody measured, and none for others."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric, NumberDataPoint

from blackbox.model.metric_names import Otel, OtelKind
from blackbox.model.series import Metric as Row
from blackbox.model.series import Unit, exported
from blackbox.model.snapshot import Gpu, Process
from blackbox.outputs.devices import PROCESS_SERIES_MAX, Devices, GpuView, processes

Instrument = Literal["gauge", "updowncounter", "counter"]
Attributes = Mapping[str, str | int | bool | None]
"""What is None is left out."""
SCOPE = "blackbox"
UNITS: dict[Unit, tuple[str, float]] = {
    "bytes": ("By", 1),
    "percent": ("1", 100),
    "ratio": ("1", 1),
    "celsius": ("Cel", 1),
    "watts": ("W", 1),
    "count": ("1", 1),
    "seconds": ("s", 1),
    "code": ("1", 1),
}
"""OpenTelemetry's unit (UCUM), and what a number is divided by to be in it."""
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
"""What a point holds; what is beyond, no memory is large enough for."""
NANOSECONDS = 1_000_000_000
STATES = {"ok": {"ok": 1, "failed": 0}, "lost": {"ok": 0, "failed": 1}, "failed": {"ok": 0, "failed": 1}}
"""State of a GPU -> `hw.state` -> `hw.status`; of the other states nobody knows whether the GPU works."""


class Seen(NamedTuple):
    """What is exported."""

    devices: Devices
    timestamp: float
    """Of the moment, in Unix seconds."""
    started_at: float
    """Since when errors are counted, in Unix seconds."""
    xids: Mapping[str, int]
    """GPU UUID -> errors that the driver reported since then."""
    resource: Attributes
    """Whose numbers these are."""
    version: str
    """Of Blackbox."""


def request(seen: Seen, *, with_processes: bool) -> tuple[ExportMetricsServiceRequest, int]:
    """The request, and how many points are in it."""
    made = ExportMetricsServiceRequest()
    told = made.resource_metrics.add()
    told.resource.attributes.extend(_attributes(seen.resource))
    scope = told.scope_metrics.add()
    scope.scope.name, scope.scope.version = SCOPE, seen.version
    points = _Points(seen.started_at)
    for view in seen.devices.gpus:
        _add_device(points, "gpu", view)
        _add_status(points, view)
        if (errors := seen.xids.get(view.row.uuid)) is not None:
            _add_errors(points, view, errors, seen.timestamp)
    for view in seen.devices.instances:
        _add_device(points, "mig", view)
    if with_processes:
        _add_processes(points, seen)
    scope.metrics.extend(points.metrics.values())
    return made, points.count


class _Points:
    """Points, gathered by the metric they are of."""

    def __init__(self, started_at: float) -> None:
        self.metrics: dict[str, Metric] = {}
        self.count = 0
        self._started_at = int(started_at * NANOSECONDS)

    def add(
        self,
        name: str,
        instrument: Instrument,
        unit: str,
        text: str,
        value: float | None,
        attributes: Attributes,
        timestamp: float,
    ) -> None:
        """Adds a point, where there is a value that a point can hold."""
        if value is None or not math.isfinite(value) or not INTEGER_MIN <= value <= INTEGER_MAX:
            return
        metric = self.metrics.get(name)
        if metric is None:
            metric = self.metrics[name] = Metric(name=name, description=text, unit=unit)
        if instrument == "gauge":
            point = metric.gauge.data_points.add()
        else:
            metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
            metric.sum.is_monotonic = instrument == "counter"
            point = metric.sum.data_points.add()
            point.start_time_unix_nano = self._started_at
        _set(point, value)
        point.time_unix_nano = int(timestamp * NANOSECONDS)
        point.attributes.extend(_attributes(attributes))
        self.count += 1

    def add_row(
        self, row: Row, otel: Otel, value: float | None, attributes: Attributes, timestamp: float, noun: str
    ) -> None:
        """Adds a point of a metric that is declared in `METRICS`."""
        unit, divisor = UNITS[row.unit]
        more = {} if otel.attribute is None else dict([otel.attribute])
        instrument: Instrument = "updowncounter" if row.unit == "bytes" else "gauge"
        exact = value if value is None or divisor == 1 else value / divisor
        text = row.help.format(noun) if otel.attribute is None else PURPOSE_HELP
        self.add(otel.name, instrument, unit, text, exact, {**attributes, **more}, timestamp)


PURPOSE_HELP = "What the memory of its allocator is for: `cached` is free in it, `kv_cached` may be evicted."
NOUNS: dict[OtelKind, str] = {"gpu": "GPU", "mig": "MIG instance", "process": "process"}


def _add_device(points: _Points, kind: OtelKind, view: GpuView) -> None:
    if not view.up:
        return
    attributes = _of_device(view.row)
    for row, otel in exported(kind):
        about = view.row if "gpu" in row.subjects else view.snapshot
        points.add_row(row, otel, row.value(about, view.snapshot), attributes, view.seen_at, NOUNS[kind])


def _add_status(points: _Points, view: GpuView) -> None:
    if view.row.state == "ok" and not view.up:  # too old to say so
        return
    for state, value in STATES.get(view.row.state, {}).items():
        text = "1 for the state the GPU is in, 0 for the others."
        attributes = {**_of_device(view.row), "hw.state": state}
        points.add("hw.status", "updowncounter", "1", text, value, attributes, view.seen_at)


def _add_errors(points: _Points, view: GpuView, errors: int, timestamp: float) -> None:
    attributes = {**_of_device(view.row), "error.type": "xid"}
    text = "Errors of the GPU that the driver reported (Xid)."
    points.add("hw.errors", "counter", "{error}", text, errors, attributes, timestamp)


def _add_processes(points: _Points, seen: Seen) -> None:
    found = processes(seen.devices)
    for view, process in found[:PROCESS_SERIES_MAX]:
        attributes = _of_process(process)
        for row, otel in exported("process"):
            points.add_row(row, otel, row.value(process, view.snapshot), attributes, view.seen_at, "process")
    text = f"Processes on GPUs without points, beyond the {PROCESS_SERIES_MAX} largest."
    omitted = max(0, len(found) - PROCESS_SERIES_MAX)
    points.add("blackbox.process.omitted", "gauge", "{process}", text, omitted, {}, seen.timestamp)


def _of_device(row: Gpu) -> dict[str, str | int | bool | None]:
    return {
        "hw.id": row.uuid,
        "hw.name": f"{NOUNS['gpu' if row.parent_uuid is None else 'mig']} {row.index}",
        "hw.model": row.name,
        "hw.type": "gpu",
        "hw.parent": row.parent_uuid,
    }


def _of_process(row: Process) -> dict[str, str | int | bool | None]:
    work = row.workload
    return {
        "hw.id": row.gpu_uuid,
        "process.pid": row.pid,
        "process.creation.time": None if row.start_time is None else _iso(row.start_time),
        "process.executable.name": row.name,
        "process.owner": row.user,
        "container.id": row.container,
        "k8s.pod.uid": None if work is None else work.pod_uid,
        "k8s.pod.name": None if work is None else work.pod,
        "k8s.namespace.name": None if work is None else work.namespace,
        "blackbox.slurm.job.id": None if work is None else work.slurm_job,
        "blackbox.slurm.step.id": None if work is None else work.slurm_step,
    }


def _iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _set(point: NumberDataPoint, value: float) -> None:
    if isinstance(value, int):
        point.as_int = int(value)
    else:
        point.as_double = value


def _attributes(attributes: Attributes) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any(value)) for key, value in attributes.items() if value is not None]


def _any(value: str | int | bool) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case _:  # a program's name may be no text, which would lose the whole request
            return AnyValue(string_value=value.encode("utf-8", "replace").decode())
