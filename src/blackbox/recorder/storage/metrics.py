"""The numbers of a moment that are kept as series: which, of whom, and how exactly."""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

from msgspec import Struct, structs

from blackbox.merge import merge
from blackbox.model.identity import StartTimes
from blackbox.model.sample import Allocator, Sample
from blackbox.model.snapshot import Engine, Gpu, Moment, Process, Snapshot

MISSING = math.nan
"""Stands for a number nobody measured; it is stored as a gap."""

ANYONE = -1
"""Owner of what has no secrets: simulated numbers."""

Holder = Literal["machine", "gpu", "process", "engine"]


class Metric(NamedTuple):
    """One key of the snapshot that is followed over time."""

    name: str
    decimals: int
    """Kept of its mean, which no source measured."""
    inside: bool = False
    """Tells of a process more than the driver tells every user."""


BYTES, PERCENT, RATIO = 0, 3, 6
LEDGER = (
    Metric("total_bytes", BYTES),
    Metric("used_bytes", BYTES),
    Metric("free_bytes", BYTES),
    Metric("driver_reserved_bytes", BYTES),
    Metric("reserved_bytes", BYTES, inside=True),
    Metric("unattributed_bytes", BYTES),
    Metric("used_percent", PERCENT),
)
KEPT: dict[Holder, tuple[Metric, ...]] = {
    "machine": (*LEDGER, Metric("fragmentation_ratio", RATIO, inside=True)),
    "gpu": (
        *LEDGER,
        Metric("utilization_percent", PERCENT),
        Metric("temperature_celsius", PERCENT),
        Metric("power_watts", PERCENT),
    ),
    "process": (
        Metric("used_bytes", BYTES),
        Metric("reserved_bytes", BYTES, inside=True),
        Metric("allocated_bytes", BYTES, inside=True),
    ),
    "engine": (
        Metric("kv_pages_total", PERCENT, inside=True),
        Metric("kv_pages_used", PERCENT, inside=True),
        Metric("kv_pages_cached", PERCENT, inside=True),
        Metric("kv_usage_ratio", RATIO, inside=True),
        Metric("prefix_hit_ratio", RATIO, inside=True),
        Metric("requests_running", PERCENT, inside=True),
        Metric("requests_waiting", PERCENT, inside=True),
        Metric("preemptions_total", PERCENT, inside=True),
    ),
}
METRICS = tuple(dict.fromkeys(metric.name for metrics in KEPT.values() for metric in metrics))
"""Names that `history` and `aggregated` know."""


class Subject(Struct, frozen=True, array_like=True):
    """Whom numbers are about. Everything but `gpu`, `name` and `uid` is identity."""

    holder: Holder
    gpu_uuid: str | None = None
    pid: int | None = None
    start_time: float | None = None
    engine: str | None = None
    gpu: int | None = None
    name: str | None = None
    uid: int | None = None

    def identity(self, starts: StartTimes) -> tuple[object, ...]:
        """The same for the same subject, whatever index it has and however it is called; a process is known by the
        first reading of its start time in `starts`."""
        start_time = starts.first((self.gpu_uuid, self.pid), self.start_time)
        return self.holder, self.gpu_uuid, self.pid, start_time, self.engine

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What is kept of it."""
        return KEPT[self.holder]


class Reading(NamedTuple):
    """The numbers of one moment: for each subject its metrics, in order."""

    subjects: tuple[Subject, ...]
    values: list[float]


MACHINE = Subject("machine")


def read(moment: Moment) -> Reading:
    """The numbers of a moment, as anyone who may see everything would have got them."""
    snapshot = merge(without_maps(moment))
    uids = {(row.gpu_uuid, row.pid): row.uid for sample in moment.samples for row in sample.processes}
    subjects: list[Subject] = [MACHINE]
    values = _values(MACHINE, snapshot)
    for gpu in snapshot.gpus:
        subject = Subject("gpu", gpu_uuid=gpu.uuid, gpu=gpu.index, name=gpu.name)
        subjects.append(subject)
        values += _values(subject, gpu)
    for process in snapshot.processes:
        subject = _of_process(process, uids.get((process.gpu_uuid, process.pid)))
        subjects.append(subject)
        values += _values(subject, process)
    for engine in snapshot.engines:
        subject = Subject(
            "engine", pid=engine.pid, engine=engine.kind, name=engine.model, uid=_uid_of(engine, subjects)
        )
        subjects.append(subject)
        values += _values(subject, engine)
    if snapshot.simulated:
        subjects = [structs.replace(subject, uid=ANYONE) for subject in subjects]
    return Reading(tuple(subjects), values)


def without_maps(moment: Moment) -> Moment:
    """The moment less its block maps, which no number here depends on and which take long to merge."""
    if not any(sample.allocators for sample in moment.samples):
        return moment
    return structs.replace(moment, samples=tuple(_without_maps(sample) for sample in moment.samples))


def _without_maps(sample: Sample) -> Sample:
    if not sample.allocators:
        return sample
    return structs.replace(sample, allocators=tuple(map(_counters, sample.allocators)))


def _counters(allocator: Allocator) -> Allocator:
    blocks = allocator.blocks
    if blocks is not None and sum(block.size for block in blocks) != allocator.reserved_bytes:
        return allocator  # the merge judges such a report by its blocks
    return structs.replace(allocator, blocks=None, kv_pools=())


def _of_process(process: Process, uid: int | None) -> Subject:
    return Subject(
        "process",
        gpu_uuid=process.gpu_uuid,
        pid=process.pid,
        start_time=process.start_time,
        gpu=process.gpu,
        name=process.name,
        uid=uid,
    )


def _uid_of(engine: Engine, subjects: list[Subject]) -> int | None:
    own = {engine.pid, *engine.pids}
    return next((one.uid for one in subjects if one.pid is not None and one.pid in own), None)


def _values(subject: Subject, row: Snapshot | Gpu | Process | Engine) -> list[float]:
    return list(_measured(subject, row))


def _measured(subject: Subject, row: Snapshot | Gpu | Process | Engine) -> Iterator[float]:
    unknown = row.unknown
    for metric in subject.metrics:
        value: float | None = getattr(row, metric.name)
        if value is None or (unknown and metric.name in unknown) or not math.isfinite(value):
            yield MISSING
        else:
            yield float(value)
