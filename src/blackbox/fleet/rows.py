"""Rows of the tables out of closed minutes and events. Pure: the same recording makes the same rows, whenever; of an
event, until the moment in which its process is looked up has been thinned.

Command lines, stacks, messages and types of exceptions are in no row. Users are hashed unless told otherwise.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from blackbox.fleet.minutes import ClosedMinute, Statistics
from blackbox.fleet.schema import (
    ENGINE,
    ENGINE_METRICS,
    EVENT,
    GPU,
    GPU_METRICS,
    LIFE,
    OWNER_KEYS,
    PROCESS,
    PROCESS_METRICS,
    STATISTICS,
    Table,
)
from blackbox.merge import merge
from blackbox.model.event import Event, ProcessLife
from blackbox.model.moment import Moment
from blackbox.model.parts import DeviceProcess
from blackbox.model.series import known
from blackbox.model.snapshot import Engine, Gpu, Process, Snapshot
from blackbox.recorder import RecordedEvent
from blackbox.recorder.storage.subjects import Subject, has_maps, without_maps

Users = Literal["hash", "name", "none"]
PROCESSES_MAX = 1000
"""Rows of processes in a machine's minute; the smallest of more are summed in the row of their GPU."""
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


def minute_rows(minutes: Iterable[ClosedMinute], origin: Origin) -> Rows:
    """Rows of some minutes, and of the lives in them."""
    found: Rows = {PROCESS.name: [], GPU.name: [], ENGINE.name: [], LIFE.name: []}
    for minute in minutes:
        moment = minute.moment
        snapshot = None if moment is None else _merged(moment)
        taken = None if moment is None else exact_time(moment.timestamp)
        common = origin.where | {"ts": whole_time(minute.start), "moment": taken}
        processes = _process_rows(minute, snapshot, origin)
        kept, omitted = _limited(processes)
        found[PROCESS.name] += [common | row for row in kept]
        found[GPU.name] += [common | row for row in _gpu_rows(minute, snapshot, omitted)]
        found[ENGINE.name] += [common | row for row in _engine_rows(minute, snapshot)]
    found[LIFE.name] = _lives(found[PROCESS.name])
    return found


def event_rows(events: Iterable[RecordedEvent], origin: Origin, moment_at: Callable[[float], Moment | None]) -> Rows:
    """Rows of some events, and of the lives that they end."""
    found: Rows = {EVENT.name: [], LIFE.name: []}
    for recorded in events:
        event = recorded.event
        process = None if event.pid is None else _process_of(event, moment_at)
        row = origin.where | _event_row(recorded, process, origin)
        found[EVENT.name].append(row)
        life = _ended_life(event, row)
        if life is not None:
            found[LIFE.name].append(life)
    return found


def gap_row(origin: Origin, since: float, until: float, reason: str, **more: object) -> TableRow:
    """A stretch that never came, or a row that no table takes, as an event."""
    detail = {"since": exact_time(since), "until": exact_time(until), "reason": reason} | more
    text = msgspec.json.encode(detail).decode()
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")
    return origin.where | {"kind": "gap", "ts": exact_time(until), "event_id": number, "detail": text}


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
    return merge(without_maps(moment) if has_maps(moment) else moment)


def _start_ms(start_time: float | None) -> int:
    return UNKNOWN_START if start_time is None else round(start_time * 1000)


def _process_rows(minute: ClosedMinute, snapshot: Snapshot | None, origin: Origin) -> list[TableRow]:
    present = {} if snapshot is None else {_process_id(process): process for process in snapshot.processes}
    rows: list[TableRow] = []
    for subject, numbers in minute.numbers.items():
        if subject.kind != "process" or subject.gpu_uuid is None or subject.pid is None:
            continue
        key = subject.gpu_uuid, subject.pid, _start_ms(subject.start_time)
        process = present.pop(key, None)
        rows.append(_process_row(key, subject, process, numbers, origin))
    for key, process in present.items():  # nothing was measured of it in the whole minute, and it is there
        rows.append(_process_row(key, None, process, {}, origin))
    return rows


def _process_id(process: Process) -> ProcessId:
    return process.gpu_uuid, process.pid, _start_ms(process.start_time)


def _process_row(
    key: ProcessId,
    subject: Subject | None,
    process: Process | None,
    numbers: Mapping[str, Statistics],
    origin: Origin,
) -> TableRow:
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
    return row | _owner(process, origin) | _numbers(PROCESS_METRICS, process, numbers)


def _owner(process: Process | DeviceProcess | None, origin: Origin) -> TableRow:
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


def _limited(rows: list[TableRow]) -> tuple[list[TableRow], list[TableRow]]:
    """The largest, and those that are too many."""
    if len(rows) <= PROCESSES_MAX:
        return rows, []
    ordered = sorted(rows, key=lambda row: row["used_bytes_max"] or 0, reverse=True)
    return ordered[:PROCESSES_MAX], ordered[PROCESSES_MAX:]


def _gpu_rows(minute: ClosedMinute, snapshot: Snapshot | None, omitted: Sequence[TableRow]) -> list[TableRow]:
    present = {} if snapshot is None else {gpu.uuid: gpu for gpu in snapshot.gpus}
    rows: list[TableRow] = []
    for subject, numbers in minute.numbers.items():
        if subject.kind != "gpu" or subject.gpu_uuid is None:
            continue
        gpu = present.get(subject.gpu_uuid)
        left_out = [row for row in omitted if row["gpu_uuid"] == subject.gpu_uuid]
        listed = _listed(snapshot, subject.gpu_uuid)
        rows.append(
            {
                "gpu_uuid": subject.gpu_uuid,
                "gpu": subject.gpu,
                "name": None if subject.name is None else clean(subject.name),
                "parent_uuid": None if gpu is None else gpu.parent_uuid,
                "state": None if gpu is None else gpu.state,
                "simulated": snapshot is not None and snapshot.simulated,
                "processes": listed,
                "omitted_processes": len(left_out),
                "omitted_used_bytes": sum(row["used_bytes"] or 0 for row in left_out),
            }
            | _numbers(GPU_METRICS, gpu, numbers)
        )
    return rows


def _listed(snapshot: Snapshot | None, gpu_uuid: str) -> int | None:
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


def _lives(rows: Sequence[TableRow]) -> list[TableRow]:
    """One row a process, of its rows in the order of time."""
    lives: dict[ProcessId, TableRow] = {}
    for row in rows:
        key = row["gpu_uuid"], row["pid"], row["start_ms"]
        life = lives.setdefault(key, _life_of(row))
        life["last_seen"] = row["ts"]
        for name in ("gpu", "name", *OWNER_KEYS):
            life[name] = life[name] if row[name] is None else row[name]
        for metric in PROCESS_METRICS:
            most = [value for value in (life[f"peak_{metric}"], row[f"{metric}_max"], row[metric]) if value is not None]
            life[f"peak_{metric}"] = max(most, default=None)
    return list(lives.values())


def _life_of(row: TableRow) -> TableRow:
    life: TableRow = {column.name: None for column in LIFE.shipped}
    same = ("tenant", "machine", "host", "gpu_uuid", "pid", "start_ms")
    return life | {name: row[name] for name in same} | {"first_seen": row["ts"], "last_seen": row["ts"]}


def _process_of(event: Event, moment_at: Callable[[float], Moment | None]) -> DeviceProcess | None:
    """The process of an event as the driver listed it then, or shortly before: it may be about its end."""
    for seconds_before in (0.0, 2.0, 60.0):
        moment = moment_at(event.timestamp - seconds_before)
        for sample in () if moment is None else moment.samples:
            for process in sample.processes:
                if process.pid == event.pid and event.gpu_uuid in (None, process.gpu_uuid):
                    return process
    return None


def _event_row(recorded: RecordedEvent, process: DeviceProcess | None, origin: Origin) -> TableRow:
    event = recorded.event
    life, oom = event.process, event.oom
    allocator = None if oom is None else oom.allocator
    start_time = life.start_time if life is not None else None if process is None else process.start_time
    name = life.name if life is not None else None if process is None else process.name
    return {
        "kind": event.kind,
        "ts": exact_time(event.timestamp),
        "event_id": recorded.id,
        "gpu_uuid": event.gpu_uuid,
        "pid": event.pid,
        "start_ms": None if start_time is None else _start_ms(start_time),
        "name": None if name is None else clean(name),
        **_owner(process, origin),
        "code": event.code,
        "used_bytes": _used_bytes(event),
        "peak_used_bytes": None if life is None else life.peak_used_bytes,
        "requested_bytes": None if oom is None else oom.requested_bytes,
        "device_total_bytes": None if oom is None else oom.device_total_bytes,
        "device_free_bytes": None if oom is None else oom.device_free_bytes,
        "reserved_bytes": None if allocator is None else allocator.reserved_bytes,
        "allocated_bytes": None if allocator is None else allocator.allocated_bytes,
        "ended": None if life is None else life.ended,
        "detail": _detail(event),
    }


def _used_bytes(event: Event) -> int | None:
    if event.process is not None:
        return event.process.used_bytes
    return None if event.growth is None else event.growth.used_bytes


def _detail(event: Event) -> str:
    """Numbers alone: neither message nor stack nor the type of an exception."""
    found: TableRow = {}
    if event.growth is not None:
        found["growth"] = {key: value for key, value in msgspec.to_builtins(event.growth).items() if key != "name"}
    if event.threshold is not None:
        found["threshold"] = msgspec.to_builtins(event.threshold)
    if event.process is not None:
        found |= {key: getattr(event.process, key) for key in ("signal", "exit_code")}
    return msgspec.json.encode({key: value for key, value in found.items() if value is not None}).decode()


def _ended_life(event: Event, row: TableRow) -> TableRow | None:
    life: ProcessLife | None = event.process
    if event.kind not in ("process_exit", "crash") or life is None or event.gpu_uuid is None or event.pid is None:
        return None
    minute = whole_time(event.timestamp // 60 * 60)
    found: TableRow = {column.name: None for column in LIFE.shipped}
    found |= {key: row[key] for key in ("tenant", "machine", "host", "gpu_uuid", "pid", "name", *OWNER_KEYS)}
    return found | {
        "start_ms": _start_ms(life.start_time),
        "first_seen": minute,
        "last_seen": minute,
        "peak_used_bytes": life.peak_used_bytes,
        "ended_at": row["ts"],
        "ended": life.ended,
        "signal": life.signal,
        "exit_code": life.exit_code,
    }
