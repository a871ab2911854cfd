"""Rows of the tables out of closed minutes. Pure: the same recording makes the same rows, whenever.

Command lines, stacks, messages and types of exceptions are in no row. Users are hashed unless told otherwise.
"""

import hashlib
import hmac
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from blackbox.fleet.minutes import ClosedMinute, Statistics
from blackbox.fleet.schema import (
    ENGINE,
    ENGINE_METRICS,
    GPU,
    GPU_METRICS,
    LIFE,
    OWNER_KEYS,
    PROCESS,
    PROCESS_METRICS,
    STATISTICS,
)
from blackbox.fleet.table import Table
from blackbox.merge import merged
from blackbox.model.moment import Moment
from blackbox.model.parts import DeviceProcess
from blackbox.model.series import known
from blackbox.model.snapshot import Engine, Gpu, Process, Snapshot
from blackbox.recorder.storage.subjects import Subject, has_maps, without_maps

Users = Literal["hash", "name", "none"]
PROCESSES_MAX = 1000
"""Rows of processes in a machine's minute; the smallest of more are summed in the row of their GPU."""
ROWS_AT_ONCE = 64
"""Rows of processes that are made before they are encoded: a row in Python takes five times its bytes."""
UNKNOWN_START = -1
UNKNOWN_PID = -1
MEAN_BYTES = 64 << 10
"""Means of bytes are told in steps of this, the least that a driver hands out: more digits are noise, which no database
packs. They never leave the least and the most, so what stands still stays exact."""
HASH_DIGITS = 12
"""48 bits: of a million users two share a hash once in five hundred fleets."""

TableRow = dict[str, Any]
Rows = dict[str, list[TableRow]]
"""Name of a table -> its rows."""
ProcessId = tuple[str, int, int]
"""(UUID of the device, pid, start in Unix milliseconds)."""
Lives = dict[ProcessId, TableRow]


class Origin(Struct, frozen=True):
    """What all rows of a server have in common."""

    machine: str
    host: str
    tenant: str = ""
    users: Users = "hash"

    def user(self, name: str | None) -> str | None:
        """A user as he is shipped; the same user of one tenant has the same hash on every machine."""
        if name is None or self.users == "none":
            return None
        if self.users == "name":
            return clean(name)
        key = f"blackbox fleet {self.tenant}".encode()
        return "u-" + hmac.new(key, clean(name).encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS]

    @property
    def where(self) -> TableRow:
        return {"tenant": self.tenant, "machine": self.machine, "host": clean(self.host)}


def minute_rows(minutes: Iterable[ClosedMinute], origin: Origin) -> Iterator[Rows]:
    """Rows of some minutes, few at a time, of which none is kept; at the end those of the lives in all of them."""
    lives: Lives = {}
    for minute in minutes:
        yield from _of_minute(minute, origin, lives)
        del minute  # before the next one is read
    if lives:
        yield {LIFE.name: list(lives.values())}


def _of_minute(minute: ClosedMinute, origin: Origin, lives: Lives) -> Iterator[Rows]:
    """Rows of a minute; brings `lives` further."""
    moment = minute.moment
    snapshot = None if moment is None else _merged(moment)
    taken = None if moment is None else exact_time(moment.timestamp)
    common = origin.where | {"ts": whole_time(minute.start), "moment": taken}
    kept, omitted = _limited(_listed(minute, snapshot))
    for first in range(0, len(kept), ROWS_AT_ONCE):
        rows = [common | _process_row(one, origin) for one in kept[first : first + ROWS_AT_ONCE]]
        _live(lives, rows)
        yield {PROCESS.name: rows}
        del rows
    gpus, engines = _gpu_rows(minute, snapshot, omitted), _engine_rows(minute, snapshot)
    yield {GPU.name: [common | row for row in gpus], ENGINE.name: [common | row for row in engines]}


def whole_time(seconds: float) -> str:
    """UTC, in whole seconds; text, since a number would be taken for something else."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def exact_time(seconds: float) -> str:
    """UTC, in milliseconds."""
    whole, thousandth = divmod(round(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{thousandth:03d}Z"


def clean(text: str) -> str:
    """Text that has a form in UTF-8."""
    return text.encode("utf-8", "replace").decode()


def distinct(table: Table, rows: Iterable[Mapping[str, Any]]) -> int:
    """How many rows are left of these once those with one key are one."""
    keys = key_columns(table)
    return len({tuple(row.get(key) for key in keys) for row in rows})


def key_columns(table: Table) -> list[str]:
    """Columns of the key that differ within one machine."""
    names = [part.strip() for part in table.order.split(",")]
    return [name for name in names if name.isidentifier() and name not in ("tenant", "machine")]


def _merged(moment: Moment) -> Snapshot:
    """Without blocks, of which no row tells."""
    return merged(without_maps(moment) if has_maps(moment) else moment).bare


def start_ms(start_time: float | None) -> int:
    return UNKNOWN_START if start_time is None else round(start_time * 1000)


class _Listed(NamedTuple):
    """What is known of a process in a minute."""

    key: ProcessId
    subject: Subject | None
    """Of its numbers; None where nothing was measured of it in the whole minute, and it is there."""
    process: Process | None
    """In the minute's last moment; None where it is not there."""
    numbers: Mapping[str, Statistics]

    @property
    def used_bytes(self) -> float:
        """In the last moment; 0 where that is not known."""
        return 0 if self.process is None else known(self.process, "used_bytes") or 0

    @property
    def most_used_bytes(self) -> float:
        """Of the minute, likewise."""
        return self.numbers["used_bytes"][2] if "used_bytes" in self.numbers else 0


def _listed(minute: ClosedMinute, snapshot: Snapshot | None) -> list[_Listed]:
    present = {} if snapshot is None else {_process_id(process): process for process in snapshot.processes}
    found: list[_Listed] = []
    for subject, numbers in minute.numbers.items():
        if subject.kind == "process" and subject.gpu_uuid is not None and subject.pid is not None:
            key = subject.gpu_uuid, subject.pid, start_ms(subject.start_time)
            found.append(_Listed(key, subject, present.pop(key, None), numbers))
    return found + [_Listed(key, None, process, {}) for key, process in present.items()]


def _process_id(process: Process) -> ProcessId:
    return process.gpu_uuid, process.pid, start_ms(process.start_time)


def _process_row(listed: _Listed, origin: Origin) -> TableRow:
    key, subject, process, numbers = listed
    name = (process.name if process is not None and "name" not in process.unknown else None) or (
        None if subject is None else subject.name
    )
    gpu = process.gpu if process is not None else None if subject is None else subject.gpu
    row: TableRow = {
        "gpu_uuid": key[0],
        "pid": key[1],
        "start_ms": key[2],
        "present": process is not None,
        "gpu": gpu,
        "name": clean(name) if name else None,
        "kind": None if process is None else process.kind,
    }
    return row | owner(process, origin) | _numbers(PROCESS_METRICS, process, numbers)


def owner(process: Process | DeviceProcess | None, origin: Origin) -> TableRow:
    found: TableRow = dict.fromkeys(OWNER_KEYS)
    if process is not None:
        found |= {"user": origin.user(process.user), "container": process.container}
        if process.workload is not None:
            keys = ("runtime", "namespace", "pod", "pod_uid", "slurm_job", "slurm_step")
            found |= {key: getattr(process.workload, key) for key in keys}
    return found


def _numbers(
    metrics: Mapping[str, tuple[str, str]], row: Process | Gpu | Engine | None, numbers: Mapping[str, Statistics]
) -> TableRow:
    """The value in the moment, and those of the minute."""
    found: TableRow = {}
    for key, (kind, _) in metrics.items():
        found[key] = None if row is None else _as(kind, known(row, key))
        statistics = numbers.get(key)
        if statistics is not None and key.endswith("_bytes"):
            statistics = _stepped(statistics)
        for place, suffix in enumerate(STATISTICS):
            found[f"{key}_{suffix}"] = None if statistics is None else _as(kind, statistics[place])
    return found


def _stepped(statistics: Statistics) -> Statistics:
    """With the mean in steps of `MEAN_BYTES`."""
    least, mean, most = statistics
    return least, min(max(round(mean / MEAN_BYTES) * MEAN_BYTES, least), most), most


def _as(kind: str, value: float | None) -> float | None:
    """A whole number where the column takes nothing else: the engine refuses 1.0."""
    return value if value is None or kind.startswith("Float") else round(value)


def _limited(listed: list[_Listed]) -> tuple[list[_Listed], list[_Listed]]:
    """The largest, and those that are too many."""
    if len(listed) <= PROCESSES_MAX:
        return listed, []
    ordered = sorted(listed, key=lambda one: one.most_used_bytes, reverse=True)
    return ordered[:PROCESSES_MAX], ordered[PROCESSES_MAX:]


def _gpu_rows(minute: ClosedMinute, snapshot: Snapshot | None, omitted: Sequence[_Listed]) -> list[TableRow]:
    present = {} if snapshot is None else {gpu.uuid: gpu for gpu in snapshot.gpus}
    rows: list[TableRow] = []
    for subject, numbers in minute.numbers.items():
        if subject.kind != "gpu" or subject.gpu_uuid is None:
            continue
        gpu = present.get(subject.gpu_uuid)
        left_out = [one for one in omitted if one.key[0] == subject.gpu_uuid]
        listed = _count(snapshot, subject.gpu_uuid)
        rows.append(
            {
                "gpu_uuid": subject.gpu_uuid,
                "gpu": subject.gpu,
                "name": None if subject.name is None else clean(subject.name),
                "parent_uuid": None if gpu is None else gpu.parent_uuid,
                "state": None if gpu is None else gpu.state,
                "simulated": snapshot is not None and snapshot.simulated,
                "processes": listed,
                "given_to": None if gpu is None else _given_to(gpu),
                "omitted_processes": len(left_out),
                "omitted_used_bytes": sum(one.used_bytes for one in left_out),
            }
            | _numbers(GPU_METRICS, gpu, numbers)
        )
    return rows


def _given_to(gpu: Gpu) -> str | None:
    """Names of Kubernetes have neither slashes nor commas."""
    if gpu.given_to is None:
        return None
    return ",".join(dict.fromkeys(f"{one.namespace}/{one.pod}/{one.container}" for one in gpu.given_to))


def _count(snapshot: Snapshot | None, gpu_uuid: str) -> int | None:
    if snapshot is None or "processes" in snapshot.unknown:
        return None
    return sum(process.gpu_uuid == gpu_uuid for process in snapshot.processes)


def _engine_rows(minute: ClosedMinute, snapshot: Snapshot | None) -> list[TableRow]:
    present = {} if snapshot is None else {(engine.kind, engine.pid): engine for engine in snapshot.engines}
    return [
        {
            "kind": subject.engine,
            "pid": UNKNOWN_PID if subject.pid is None else subject.pid,
            "model": None if subject.name is None else clean(subject.name),
        }
        | _numbers(ENGINE_METRICS, present.get((subject.engine, subject.pid)), numbers)
        for subject, numbers in minute.numbers.items()
        if subject.kind == "engine" and subject.engine is not None
    ]


def _live(lives: Lives, rows: Sequence[TableRow]) -> None:
    """Brings lives further: one row a process, of its rows in the order of time."""
    for row in rows:
        key = row["gpu_uuid"], row["pid"], row["start_ms"]
        life = lives.setdefault(key, _life_of(row))
        life["last_seen"] = row["ts"]
        for name in ("gpu", "name", *OWNER_KEYS):
            life[name] = life[name] if row[name] is None else row[name]
        for metric in PROCESS_METRICS:
            most = [value for value in (life[f"peak_{metric}"], row[f"{metric}_max"], row[metric]) if value is not None]
            life[f"peak_{metric}"] = max(most, default=None)


def _life_of(row: TableRow) -> TableRow:
    life: TableRow = {column.name: None for column in LIFE.shipped}
    same = ("tenant", "machine", "host", "gpu_uuid", "pid", "start_ms")
    return life | {name: row[name] for name in same} | {"first_seen": row["ts"], "last_seen": row["ts"]}
