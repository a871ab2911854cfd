"""Series of the GPUs and MIG instances of one moment, and of the processes on them: `blackbox.model.series` in
Prometheus' words.

Sums over the machine are the database's work. MIG instances have names of their own, since adding them to their
parents would count memory twice.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from blackbox.model.metric_names import Exposed, ExposedKind
from blackbox.model.series import Metric, exposed
from blackbox.model.snapshot import Engine, Snapshot
from blackbox.outputs.devices import PROCESS_SERIES_MAX, Devices, GpuView, processes
from blackbox.outputs.prometheus.family import Family, LabelledValue


def gpu_families() -> Iterator[Family[Devices]]:
    """Families with one series per GPU."""
    yield Family(
        "blackbox_gpu_info", "gauge", "Static facts of a GPU; join on uuid.", ("uuid", "index", "name"), _gpu_info
    )
    yield from _device_families("gpu", "GPU", lambda seen: seen.gpus)


def instance_families() -> Iterator[Family[Devices]]:
    """Families with one series per MIG instance."""
    labels = ("uuid", "parent_uuid", "gpu_instance_id", "compute_instance_id", "profile", "name")
    yield Family("blackbox_mig_info", "gauge", "Static facts of a MIG instance; join on uuid.", labels, _mig_info)
    yield from _device_families("mig", "MIG instance", lambda seen: seen.instances)


def process_families() -> Iterator[Family[Devices]]:
    """Families with series per process and device; asked for by `process_metrics`, capped."""
    labels = ("uuid", "pid", "name", "user", "container", "kind")
    text = "Facts of a process on a GPU; join on uuid and pid."
    yield Family("blackbox_process_info", "gauge", text, labels, _process_info)
    labels = ("uuid", "pid", "namespace", "pod", "pod_uid", "slurm_job", "slurm_step")
    text = "Pod and Slurm job of a process on a GPU, as its cgroup names them; join on uuid and pid."
    yield Family("blackbox_process_workload_info", "gauge", text, labels, _workload_info)
    for stands, metrics in _families("process"):
        name = f"blackbox_process_{stands.name}"
        labels = ("uuid", "pid") if stands.label is None else ("uuid", "pid", stands.label[0])
        text = metrics[0].help if stands.label is None else PURPOSE_HELP
        yield Family(name, stands.type, text, labels, _over_processes(metrics))
    yield Family("blackbox_process_series_omitted", "gauge", OMITTED_HELP, (), _omitted)


def engine_families() -> Iterator[Family[Snapshot]]:
    """Families with one series per inference engine."""
    text = "An inference engine, and the model it serves; join on engine and pid."
    yield Family("blackbox_engine_info", "gauge", text, ("engine", "pid", "model"), _engine_info)
    for stands, metrics in _families("engine"):
        name = f"blackbox_engine_{stands.name}"
        yield Family(name, stands.type, metrics[0].help, ("engine", "pid"), _over_engines(metrics[0], stands))


PURPOSE_HELP = (
    "What the memory of its allocator is for: `cached` is free in it, `kv_cached` may be evicted, all else is live."
)
UP_HELP = "1 while the {} answers and its readings are fresh; without that it has no other readings."
SEEN_HELP = "When its memory was last read, in Unix time."
OMITTED_HELP = f"Processes without series, beyond the {PROCESS_SERIES_MAX} largest."

Choose = Callable[[Devices], tuple[GpuView, ...]]
"""The GPUs or the MIG instances."""


def _device_families(prefix: ExposedKind, noun: str, choose: Choose) -> Iterator[Family[Devices]]:
    def over(read: Callable[[GpuView], float]) -> Callable[[Devices], Iterator[LabelledValue]]:
        return lambda seen: (((view.row.uuid,), read(view)) for view in choose(seen))

    yield Family(f"blackbox_{prefix}_up", "gauge", UP_HELP.format(noun), ("uuid",), over(lambda view: float(view.up)))
    name = f"blackbox_{prefix}_last_seen_timestamp_seconds"
    yield Family(name, "gauge", SEEN_HELP, ("uuid",), over(lambda view: view.seen_at))
    for stands, metrics in _families(prefix):
        labels = ("uuid",) if stands.label is None else ("uuid", stands.label[0])
        name = f"blackbox_{prefix}_{stands.name}"
        yield Family(name, stands.type, metrics[0].help.format(noun), labels, _over_devices(metrics, choose))


def _families(kind: ExposedKind) -> Iterator[tuple[Exposed, list[Metric]]]:
    """Metrics of one name, and how they stand there."""
    for _, alike in groupby(exposed(kind), key=lambda metric: _stands(metric).name):
        metrics = list(alike)
        yield _stands(metrics[0]), metrics


def _stands(metric: Metric) -> Exposed:
    assert metric.exposed is not None
    return metric.exposed


def _over_devices(metrics: Iterable[Metric], choose: Choose) -> Callable[[Devices], Iterator[LabelledValue]]:
    def series(seen: Devices) -> Iterator[LabelledValue]:
        for view in choose(seen):
            for metric in metrics:
                stands = _stands(metric)
                if view.up or stands.while_down:
                    row = view.row if "gpu" in metric.subjects else view.snapshot
                    value = metric.value(row, view.snapshot)
                    labels = (view.row.uuid,) if stands.label is None else (view.row.uuid, stands.label[1])
                    yield labels, _in_base_unit(value, stands)

    return series


def _over_processes(metrics: Iterable[Metric]) -> Callable[[Devices], Iterator[LabelledValue]]:
    def series(seen: Devices) -> Iterator[LabelledValue]:
        for view, row in processes(seen)[:PROCESS_SERIES_MAX]:
            for metric in metrics:
                value, stands = metric.value(row, view.snapshot), _stands(metric)
                labels = (row.gpu_uuid, str(row.pid))
                yield labels if stands.label is None else (*labels, stands.label[1]), _in_base_unit(value, stands)

    return series


def _over_engines(metric: Metric, stands: Exposed) -> Callable[[Snapshot], Iterator[LabelledValue]]:
    def series(seen: Snapshot) -> Iterator[LabelledValue]:
        for row in _engines(seen):
            yield _engine_labels(row), _in_base_unit(metric.value(row, seen), stands)

    return series


def _engine_info(seen: Snapshot) -> Iterator[LabelledValue]:
    for row in _engines(seen):
        yield (*_engine_labels(row), row.model or ""), 1


def _engines(seen: Snapshot) -> Iterable[Engine]:
    """Each once, though one were found twice."""
    return {_engine_labels(row): row for row in seen.engines}.values()


def _engine_labels(row: Engine) -> tuple[str, str]:
    return row.kind, "" if row.pid is None else str(row.pid)


def _in_base_unit(value: float | None, stands: Exposed) -> float | None:
    return value if value is None or stands.divisor == 1 else value / stands.divisor


def _gpu_info(seen: Devices) -> Iterator[LabelledValue]:
    for view in seen.gpus:
        yield (view.row.uuid, str(view.row.index), view.row.name), 1


def _mig_info(seen: Devices) -> Iterator[LabelledValue]:
    for view in seen.instances:
        row, mig = view.row, view.row.mig
        ids = (str(mig.gpu_instance_id), str(mig.compute_instance_id), mig.profile or "") if mig else ("", "", "")
        yield (row.uuid, row.parent_uuid or "", *ids, row.name), 1


def _process_info(seen: Devices) -> Iterator[LabelledValue]:
    for _, row in processes(seen)[:PROCESS_SERIES_MAX]:
        yield (row.gpu_uuid, str(row.pid), row.name, row.user or "", row.container or "", row.kind), 1


def _workload_info(seen: Devices) -> Iterator[LabelledValue]:
    for _, row in processes(seen)[:PROCESS_SERIES_MAX]:
        found = row.workload
        if found is not None and (found.pod_uid or found.slurm_job):
            values = (found.namespace, found.pod, found.pod_uid, found.slurm_job, found.slurm_step)
            yield (row.gpu_uuid, str(row.pid), *(value or "" for value in values)), 1


def _omitted(seen: Devices) -> Iterator[LabelledValue]:
    yield (), max(0, len(processes(seen)) - PROCESS_SERIES_MAX)
