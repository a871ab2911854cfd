"""Whom recorded numbers are about, and their numbers at one moment."""

import math
from collections.abc import Callable, Mapping
from itertools import chain
from operator import attrgetter, is_not
from typing import NamedTuple

from msgspec import Struct, structs

from blackbox.merge import merge
from blackbox.merge.purposes import one_block_per_kind
from blackbox.model.identity import StartTimes
from blackbox.model.moment import Moment
from blackbox.model.parts import Allocator
from blackbox.model.sample import Sample
from blackbox.model.series import RECORDED, Metric, SubjectKind, SubjectRow
from blackbox.model.snapshot import Process, Snapshot
from blackbox.model.visibility import ANYONE, sole_owner

MISSING = math.nan
"""Stands for a number nobody measured; it is stored as a gap."""


class Subject(Struct, frozen=True, array_like=True):
    """Whom numbers are about. All but `gpu`, `name` and `uid` is identity. Stored in this order."""

    kind: SubjectKind
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
        return self.kind, self.gpu_uuid, self.pid, start_time, self.engine


Metrics = Mapping[SubjectKind, tuple[Metric, ...]]
"""What is kept of each kind of subject, in order."""
WITHOUT_PURPOSES: Metrics = {
    **RECORDED,
    "process": tuple(metric for metric in RECORDED["process"] if metric.read is None),
}
"""Of a moment in which no program tells what its memory is for: three numbers of a process instead of thirteen."""


class Numbers(NamedTuple):
    """Those of one moment: for each subject the metrics of its kind, in order."""

    subjects: tuple[Subject, ...]
    values: list[float]
    metrics: Metrics


MACHINE = Subject("machine")


class ProcessNumbers:
    """Subjects and numbers of the processes of the last moment, kept while its merged rows and the sources' lists of
    processes, which tell whose they are, are the same objects: both are handed on where nothing in them differs."""

    def __init__(self) -> None:
        self._made_of: tuple[tuple[object, ...], ...] = ()
        self._made = Numbers((), [], WITHOUT_PURPOSES)

    def of(self, moment: Moment, snapshot: Snapshot) -> Numbers:
        """Those of the moment's processes; `snapshot` is the whole moment, merged."""
        made_of = snapshot.processes, *(sample.processes for sample in moment.samples)
        if len(made_of) != len(self._made_of) or any(map(is_not, made_of, self._made_of)):
            self._made, self._made_of = _processes_numbers(moment, snapshot), made_of
        return self._made


def _processes_numbers(moment: Moment, snapshot: Snapshot) -> Numbers:
    uids = {(row.gpu_uuid, row.pid): row.uid for sample in moment.samples for row in sample.processes}
    metrics = RECORDED if any(row.purposes is not None for row in snapshot.processes) else WITHOUT_PURPOSES
    subjects = [_of_process(row, uids.get((row.gpu_uuid, row.pid))) for row in snapshot.processes]
    of_each = (
        _values(metrics["process"], subject, row, snapshot)
        for subject, row in zip(subjects, snapshot.processes, strict=True)
    )
    return Numbers(tuple(subjects), list(chain.from_iterable(of_each)), metrics)


def numbers_of(moment: Moment, merged: Snapshot | None = None, processes: ProcessNumbers | None = None) -> Numbers:
    """The recorded numbers of a moment, as somebody who may see everything gets them; `merged` is its whole snapshot,
    where somebody made it already; `processes` holds those of the moment before."""
    snapshot = merge(without_maps(moment) if has_maps(moment) else moment) if merged is None else merged
    sole = sole_owner(moment)
    of_processes = (processes or ProcessNumbers()).of(moment, snapshot)
    metrics = of_processes.metrics
    subjects = [structs.replace(MACHINE, uid=sole)]
    values = _values(metrics["machine"], MACHINE, snapshot, snapshot)
    for gpu in snapshot.gpus:
        subject = Subject("gpu", gpu_uuid=gpu.uuid, gpu=gpu.index, name=gpu.name, uid=sole)
        subjects.append(subject)
        values += _values(metrics["gpu"], subject, gpu, snapshot)
    subjects += of_processes.subjects
    values += of_processes.values
    owners = engine_owners(moment)
    for engine in snapshot.engines:
        uid = owners.get((engine.kind, engine.pid))
        subject = Subject("engine", pid=engine.pid, engine=engine.kind, name=engine.model, uid=uid)
        subjects.append(subject)
        values += _values(metrics["engine"], subject, engine, snapshot)
    if snapshot.simulated:
        subjects = [structs.replace(subject, uid=ANYONE) for subject in subjects]
    return Numbers(tuple(subjects), values, metrics)


def has_maps(moment: Moment) -> bool:
    """Whether programs report their blocks, which take long to merge."""
    return any(_has_map(allocator) for sample in moment.samples for allocator in sample.allocators)


def without_maps(moment: Moment) -> Moment:
    """The moment with one block for each kind of blocks: no number here depends on more."""
    return structs.replace(moment, samples=tuple(_without_maps(sample) for sample in moment.samples))


def _without_maps(sample: Sample) -> Sample:
    return structs.replace(sample, allocators=tuple(map(_counters, sample.allocators)))


def _has_map(allocator: Allocator) -> bool:
    return len(allocator.blocks or ()) > 1 or bool(allocator.kv_pools)


def _counters(allocator: Allocator) -> Allocator:
    if not _has_map(allocator):
        return allocator
    kinds = one_block_per_kind(allocator)
    if sum(block.size for block in kinds) != allocator.reserved_bytes:
        return allocator  # the merge judges a report whose blocks do not add up by its blocks
    return structs.replace(allocator, blocks=kinds, kv_pools=())


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


def engine_owners(moment: Moment) -> dict[tuple[str, int | None], int | None]:
    """(kind, pid) of an engine -> its owner; None where reports of one engine have different ones."""
    found: dict[tuple[str, int | None], int | None] = {}
    for sample in moment.samples:
        for engine in sample.engines:
            key = engine.kind, engine.pid
            found[key] = engine.uid if found.get(key, engine.uid) == engine.uid else None
    return found


def _values(metrics: tuple[Metric, ...], subject: Subject, row: SubjectRow, snapshot: Snapshot) -> list[float]:
    read_keys = KEY_READERS.get(subject.kind)
    if read_keys is not None and not row.unknown:
        found = [_number(value) for value in read_keys(row)]
        return found + _read(metrics[len(found) :], row, snapshot)
    return [_number(metric.value(row, snapshot)) for metric in metrics]


def _read(metrics: tuple[Metric, ...], row: SubjectRow, snapshot: Snapshot) -> list[float]:
    if isinstance(row, Process) and row.purposes is None:  # as of most processes of a machine
        return [MISSING] * len(metrics)
    return [_number(metric.value(row, snapshot)) for metric in metrics]


def _number(value: float | None) -> float:
    return MISSING if value is None or not math.isfinite(value) else float(value)


def _key_reader(metrics: tuple[Metric, ...]) -> Callable[[SubjectRow], tuple[float | None, ...]] | None:
    """Reads all keys at once, which come before what is no key of its row; None where that is not so."""
    keys = [metric.key for metric in metrics if metric.read is None]
    if len(keys) < 2 or any(metric.read is not None for metric in metrics[: len(keys)]):
        return None
    return attrgetter(*keys)


KEY_READERS = {kind: _key_reader(metrics) for kind, metrics in RECORDED.items()}
"""A machine has hundreds of rows twice a second, most of them without a gap."""
